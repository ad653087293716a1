"""A picture of volumes: a row for each element, its three middle slices and its maximum projection."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Image = NDArray[np.float32]

_PANEL_INCHES = 3.6
_BRIGHTEST = 99.8  # percentile that the scale of colours ends at: single hot voxels go beyond
_TITLES = (
    "xz, across the rotation axis",
    "xy, along the beam at 0 degrees",
    "zy, from the side",
    "maximum along z",
)


@dataclass(frozen=True)
class VolumeRow:
    """What is shown of one element.

    Attributes:
        element: its name.
        units: of the voxels.
        images: middle slices (z, x), (y, x) and (y, z), and the maximum along z (y, x).
    """

    element: str
    units: str
    images: tuple[Image, Image, Image, Image]


def row_of(element: str, units: str, volume: NDArray[np.float32]) -> VolumeRow:
    """What a picture needs of a volume (z, y, x), copied, so that the volume may go."""
    z, y, x = (n // 2 for n in volume.shape)
    images = (volume[:, y].copy(), volume[z].copy(), volume[:, :, x].T.copy(), volume.max(axis=0))
    return VolumeRow(element, units, images)


def draw_volumes(rows: Sequence[VolumeRow], voxel_nm: float | None, path: Path) -> None:
    """Write a PNG; slices of one element share a scale of colours that starts at 0, the maximum has its own."""
    tall = float(
        np.clip(max(rows[0].images[0].shape[0], rows[0].images[1].shape[0]) / rows[0].images[0].shape[1], 0.3, 3)
    )
    size = (4 * _PANEL_INCHES + 2, len(rows) * _PANEL_INCHES * tall + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), 4, squeeze=False)
    for row, axes in zip(rows, panels, strict=True):
        _draw_row(row, axes, voxel_nm)
    for axis, title in zip(panels[0], _TITLES, strict=True):
        axis.set_title(title, fontsize=10)
    figure.savefig(path, dpi=110, format="png")


def _draw_row(row: VolumeRow, axes: NDArray[np.object_], voxel_nm: float | None) -> None:
    slices_top = _top(row.images[:3])
    for axis, image, names in zip(axes, row.images, (("x", "z"), ("x", "y"), ("z", "y"), ("x", "y")), strict=True):
        top = _top([image]) if image is row.images[3] else slices_top
        shown = _draw(axis, image, top, names, voxel_nm)
        if image is row.images[2] or image is row.images[3]:
            axis.figure.colorbar(shown, ax=axis, label=row.units, shrink=0.8)
    axes[0].annotate(row.element, (-0.28, 0.5), xycoords="axes fraction", fontsize=14, ha="right", va="center")


def _draw(axis: Axes, image: Image, top: float, names: tuple[str, str], voxel_nm: float | None) -> object:
    height, width = image.shape
    unit, scale = _length(max(height, width), voxel_nm)
    axis.set_facecolor("grey")
    axis.set_xlabel(f"{names[0]} [{unit}]", fontsize=8)
    axis.set_ylabel(f"{names[1]} [{unit}]", fontsize=8)
    axis.tick_params(labelsize=7)
    extent = (0, width * scale, height * scale, 0)
    return axis.imshow(image, cmap="inferno", vmin=0.0, vmax=top, extent=extent, interpolation="nearest")


def _length(n_voxels: int, voxel_nm: float | None) -> tuple[str, float]:
    if voxel_nm is None:
        return "px", 1.0
    return ("µm", voxel_nm / 1000) if n_voxels * voxel_nm >= 1000 else ("nm", voxel_nm)


def _top(images: Sequence[Image]) -> float:
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    top = float(np.percentile(values, _BRIGHTEST)) if values.size else 0.0
    return top if top > 0 else 1.0
