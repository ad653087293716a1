"""Maps and slices as small PNG pictures, for pages that show many at once."""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from services.catalog.volumes import ResolutionCurve
from services.offline.curve_picture import Curve, draw_curves

_LARGEST_PX = 512
_SMALLEST_PX = 128  # a coarse map of 35 x 35 is enlarged pixel by pixel, so that browsers do not smooth it
_CLIPPED_PERCENT = 0.5  # at both ends: one hot pixel must not darken the rest


def render_png(image: NDArray[np.float32]) -> bytes:
    """A 2-D array in viridis from its lowest to its highest values; points that were not measured are transparent."""
    step = max(1, -(-max(image.shape) // _LARGEST_PX))
    shown = image[::step, ::step]
    repeat = max(1, _SMALLEST_PX // max(shown.shape))
    shown = shown.repeat(repeat, 0).repeat(repeat, 1)
    measured = np.isfinite(shown)
    levels = np.zeros(shown.shape, np.uint8)
    if measured.any():
        low, high = np.percentile(shown[measured], (_CLIPPED_PERCENT, 100 - _CLIPPED_PERCENT))
        levels[measured] = np.clip((shown[measured] - low) / max(high - low, np.finfo(np.float32).tiny) * 255, 0, 255)
    pixels = _viridis()[levels]
    pixels[..., 3] = np.where(measured, 255, 0)
    png = BytesIO()
    Image.fromarray(pixels, "RGBA").save(png, "png")
    return png.getvalue()


def render_curves(curves: Sequence[ResolutionCurve]) -> bytes:
    """A panel for each curve; that of halves which share a prior says so."""
    panels = [
        Curve(
            f"{curve.source} maps"
            + ("" if curve.metadata["is_independent"] else ": halves share a prior, no resolution"),
            curve.frequency_per_nm,
            curve.values,
            curve.thresholds,
            {name: str(curve.metadata[name]) for name in curve.thresholds},
        )
        for curve in curves
    ]
    with TemporaryDirectory() as folder:  # it draws to a path only
        path = Path(folder) / "curves.png"
        draw_curves(panels, path)
        return path.read_bytes()


@cache
def _viridis() -> NDArray[np.uint8]:
    return np.asarray(colormaps["viridis"](np.arange(256), bytes=True), np.uint8)
