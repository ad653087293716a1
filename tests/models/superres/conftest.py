from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.phantoms.specimens import make_specimen
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe, zone_plate_probe
from models.xrf.maps import ElementMaps

MARGIN_PX = 64  # of the default probe
FOV_PX = 320  # probe pixels: 20 x 20 points at 120 nm, 80 x 80 at 30 nm
PEAK_UG_CM2 = 100.0

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]


@pytest.fixture(scope="session")
def probe() -> Probe:
    return zone_plate_probe()


def dead_leaves(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Overlapping discs of any size: sharp edges at every scale."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    image = np.full((side, side), 0.3, np.float32)
    for radius in 4 / rng.uniform(0.03, 1, 250):
        row, column = rng.uniform(0, side, 2)
        cover = np.clip(radius - np.hypot(y - row, x - column) + 0.5, 0, 1)
        image += cover * (rng.uniform() - image)
    return PEAK_UG_CM2 * image


@pytest.fixture(scope="session")
def truths() -> Truths:
    """Specimens of training seeds at 7.5 nm, (element, y, x) with the operator's margin around the field of view."""
    side = FOV_PX + 2 * MARGIN_PX
    particle = make_specimen("nmc-particle", 1001).areal_density_ug_cm2(0.0, (side, side), 7.5, (0.4, 0.9))
    leaves = dead_leaves(np.random.default_rng(1001), side)
    return {"nmc-particle": particle[[0, 2]], "dead-leaves": leaves[None]}


@pytest.fixture(scope="session")
def measure(probe: Probe) -> Measure:
    """Fly-scan with Poisson counts, ``peak_counts`` in the brightest point, as element maps."""
    operators: dict[int, FlyScanOperator] = {}

    def measured(truth: NDArray[np.float32], step_nm: int, peak_counts: float) -> ElementMaps:
        scale = round(step_nm / 7.5)
        if step_nm not in operators:
            operators[step_nm] = FlyScanOperator(probe, (FOV_PX // scale, FOV_PX // scale), scale, "fly")
        expected = np.maximum(operators[step_nm].forward(torch.from_numpy(truth)).numpy(), 0)
        per_unit = (peak_counts / expected.max(axis=(1, 2))).astype(np.float32)
        scaling = per_unit[:, None, None]
        counts = np.random.default_rng(int(step_nm + peak_counts)).poisson(expected * scaling)
        return ElementMaps(
            elements=tuple(f"E{index}" for index in range(len(truth))),
            values=(counts / scaling).astype(np.float32),
            variance=(np.maximum(expected * scaling, 0.5) / scaling**2).astype(np.float32),
            mask=np.ones(counts.shape[1:], bool),
            pixel_size_nm=float(step_nm),
            counts_per_unit=per_unit,
        )

    return measured


@pytest.fixture(scope="session")
def fine_truth() -> Callable[[NDArray[np.float32], float], NDArray[np.float32]]:
    """Averages of a truth over fine pixels of a given size, within the field of view."""

    def averaged(truth: NDArray[np.float32], pixel_size_nm: float) -> NDArray[np.float32]:
        block = round(pixel_size_nm / 7.5)
        inside = truth[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        side = FOV_PX // block
        return np.asarray(inside.reshape(len(truth), side, block, side, block).mean(axis=(2, 4)), np.float32)

    return averaged
