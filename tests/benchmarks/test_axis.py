"""The rotation axis of simulated cathodes, wholly and partly in view, over twenty seeds at each number of counts.

pytest tests/benchmarks/test_axis.py -s -o addopts=--import-mode=importlib
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.phantoms.specimens import make_specimen
from models.tomo.centre import find_centre_px

ANGLES_DEG = np.arange(91) * 180 / 91
PIXEL_NM = 40.0
N_ROWS, N_SEEDS = 32, 20


def manganese(seed: int, n_columns: int, centre_px: float) -> NDArray[np.float32]:
    """Projections (angle, y, x) of the middle of a cathode that is about 100 pixels wide."""
    middle_um = (0.0, (n_columns / 2 - centre_px) * PIXEL_NM / 1000)
    seen = make_specimen("zn-mn-cathode", seed)
    return np.stack(
        [seen.areal_density_ug_cm2(angle, (N_ROWS, n_columns), PIXEL_NM, middle_um)[1] for angle in ANGLES_DEG]
    )


@pytest.mark.parametrize(
    ("seed", "n_columns", "centre_px", "counts"),
    [
        (5, 48, 24.7, (30, 100, 300)),
        (6, 48, 23.4, (30, 100, 300)),
        (7, 48, 24.2, (30, 100, 300)),
        (8, 48, 23.7, (30, 100, 300)),
        (9, 48, 25.1, (30, 100, 300)),
        (10, 48, 24.9, (30, 100, 300)),
        (5, 110, 56.7, (3, 10, 30, 100)),
        (6, 110, 55.4, (3, 10, 30, 100)),
    ],
    ids=["cut, 5", "cut, 6", "cut, 7", "cut, 8", "cut, 9", "cut, 10", "whole, 5", "whole, 6"],
)
def test_the_axis_is_found_within_what_it_says(
    seed: int, n_columns: int, centre_px: float, counts: tuple[int, ...]
) -> None:
    projections = manganese(seed, n_columns, centre_px)
    within = []
    for brightest in counts:
        per_count = float(projections.max()) / brightest
        found = [
            find_centre_px(
                (np.random.default_rng(noise).poisson(projections / per_count) * per_count).astype(np.float32),
                ANGLES_DEG,
            )
            for noise in range(N_SEEDS)
        ]
        errors = np.array([estimate.value_px - centre_px for estimate in found])
        sigmas = np.array([estimate.sigma_px for estimate in found])
        within.append(np.mean(np.abs(errors) < 2 * sigmas))
        print(
            f"\ncathode {seed}, {n_columns} columns, {brightest} counts: rms {np.sqrt(np.mean(errors**2)):.3f} px, "
            f"largest {np.abs(errors).max():.3f}, sigma {sigmas.mean():.3f}, within two of it {within[-1]:.0%}"
        )
    assert np.mean(within) > 0.9
