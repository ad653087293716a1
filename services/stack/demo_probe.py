"""The probe that the demo's ptychography scan gave, beside the one that only a simulation knows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.physics.probe import Probe
from services.catalog.client import Catalog, catalog_errors
from services.catalog.probes import ProbeRecord, read_probe

Kernel = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoundAndTrue:
    """Two kernels (y, x) of unit sum on the same pixels, each centred by its own centroid, as a beamline would.

    Attributes:
        found: from ptychography.
        true: of the twin.
        pixel_nm: of both.
        object_phase: (y, x) in radians.
        warnings: what speaks against the one found.
    """

    found: Kernel
    true: Kernel
    pixel_nm: float
    object_phase: NDArray[np.float32]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        correlation = float(np.corrcoef(self.found.ravel(), self.true.ravel())[0, 1])
        error = float(np.linalg.norm(self.found - self.true) / np.linalg.norm(self.true))
        doubts = f"; NOT to be relied on: {'; '.join(self.warnings)}" if self.warnings else ""
        return f"against the true kernel: correlation {correlation:.4f}, relative error {error:.1%} (L2){doubts}"


def compare_with_true_probe(catalog: Catalog, record: ProbeRecord, true: Probe) -> FoundAndTrue:
    """Read a probe back and set the true one beside it."""
    found = read_probe(catalog, record.key)
    with catalog_errors(f"reading the object of probe {record.key}"):
        phase = np.asarray(catalog.probes[record.key]["object_phase"].read(), np.float32)
    kernels = [probe.intensity().astype(np.float64) for probe in (found, true.resampled(found.pixel_size_nm))]
    side = min(len(kernel) for kernel in kernels)
    mine, truth = (_middle(kernel, side) for kernel in kernels)
    return FoundAndTrue(mine / mine.sum(), truth / truth.sum(), found.pixel_size_nm, phase, record.warnings)


def draw_found_and_true(comparison: FoundAndTrue, path: Path) -> Path:
    """Write a PNG: what the probe was found from, the kernel, the truth, and cuts through both."""
    figure = Figure(figsize=(15.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    star, found, true, cuts = figure.subplots(1, 4)
    star.imshow(comparison.object_phase, cmap="gray")
    star.set_title("phase of the calibration object")
    half_nm = len(comparison.true) / 2 * comparison.pixel_nm
    top = np.sqrt(comparison.true.max())
    for axis, kernel, title in (
        (found, comparison.found, "kernel from ptychography"),
        (true, comparison.true, "truth"),
    ):
        axis.imshow(np.sqrt(kernel), cmap="inferno", vmin=0, vmax=top, extent=(-half_nm, half_nm, half_nm, -half_nm))
        axis.set_title(title)
        axis.set_xlabel("x [nm]")
    place_nm = (np.arange(len(comparison.true)) - len(comparison.true) // 2) * comparison.pixel_nm
    middle = len(comparison.true) // 2
    for kernel, style, label in ((comparison.true, "-", "truth"), (comparison.found, "o", "ptychography")):
        cuts.plot(place_nm, kernel[middle] / comparison.true.max(), style, markersize=3, label=f"x, {label}")
        cuts.plot(place_nm, kernel[:, middle] / comparison.true.max(), style, markersize=3, label=f"y, {label}")
    cuts.set_xlabel("nm")
    cuts.set_xlim(-half_nm / 3, half_nm / 3)
    cuts.set_box_aspect(1)
    cuts.legend(fontsize=8)
    star.set_axis_off()
    figure.savefig(path, dpi=110, format="png")
    return path


def _middle(kernel: Kernel, side: int) -> Kernel:
    first = len(kernel) // 2 - side // 2
    return kernel[first : first + side, first : first + side]
