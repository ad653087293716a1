"""A picture of what was enhanced: a row for each element, measured, enhanced and sigma."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

_PANEL_INCHES = 4.0
_BRIGHTEST = 99.8  # percentile of the enhanced map that the scale of colours ends at: single hot pixels go beyond


@dataclass(frozen=True)
class ElementRow:
    """One element: ``coarse`` (y, x), ``enhanced`` and ``sigma`` (scale * y, scale * x)."""

    element: str
    units: str
    coarse: NDArray[np.float32]
    enhanced: NDArray[np.float32]
    sigma: NDArray[np.float32]


def draw_maps(rows: Sequence[ElementRow], step_nm: float, scale: int, path: Path) -> None:
    """Write a PNG; measured and enhanced share one scale of colours, sigma has its own, what is missing is grey."""
    height, width = rows[0].coarse.shape
    tall = float(np.clip(height / width, 0.3, 3))
    figure = Figure(figsize=(3 * _PANEL_INCHES + 2, len(rows) * _PANEL_INCHES * tall + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), 3, squeeze=False)
    for row, axes in zip(rows, panels, strict=True):
        _draw_row(row, axes, (width * step_nm, height * step_nm))
    for axis, title in zip(
        panels[0], (f"measured, {step_nm:g} nm", f"enhanced, {step_nm / scale:g} nm", "sigma"), strict=True
    ):
        axis.set_title(title)
    _draw_scale_bar(panels[0, 0], width * step_nm, height * step_nm)
    figure.savefig(path, dpi=110, format="png")


def bar_length_nm(width_nm: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is no longer than a third of the width."""
    power = 10.0 ** np.floor(np.log10(width_nm / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= width_nm / 3))


def _draw_row(row: ElementRow, axes: NDArray[np.object_], size_nm: tuple[float, float]) -> None:
    top = float(np.percentile(row.enhanced, _BRIGHTEST))
    counts = {"vmin": 0.0, "vmax": top if top > 0 else 1.0}
    spread = {"vmin": 0.0, "vmax": float(np.percentile(row.sigma, _BRIGHTEST))}
    drawings = [(row.coarse, counts), (row.enhanced, counts), (row.sigma, spread)]
    images = []
    for axis, (values, limits) in zip(axes, drawings, strict=True):
        axis.set_facecolor("grey")
        images.append(axis.imshow(values, cmap="inferno", extent=(0, size_nm[0], size_nm[1], 0), **limits))
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_ylabel(row.element, fontsize=14)
    figure = axes[0].figure
    figure.colorbar(images[1], ax=axes[1], label=row.units, shrink=0.9)
    figure.colorbar(images[2], ax=axes[2], label=row.units, shrink=0.9)


def _draw_scale_bar(axis: Axes, width_nm: float, height_nm: float) -> None:
    length_nm = bar_length_nm(width_nm)
    label = f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
    x, y = 0.05 * width_nm, 0.94 * height_nm
    outline = [withStroke(linewidth=5, foreground="black")]  # readable on bright maps too
    axis.plot([x, x + length_nm], [y, y], color="white", linewidth=3, path_effects=outline)
    where = (x + length_nm / 2, y - 0.03 * height_nm)
    axis.text(*where, label, color="white", ha="center", va="bottom", path_effects=outline)
