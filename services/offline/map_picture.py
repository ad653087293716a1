"""A picture of maps that were made of patterns: a row for each element, map and sigma, beside the TXM image."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.reconstruct import SinglePixelResult

_PANEL_INCHES = 3.6
_BRIGHTEST = 99.8  # percentile that a scale of colours ends at: single hot pixels go beyond


def draw_result(result: SinglePixelResult, measured: PatternMeasurement, path: Path) -> None:
    """Write a PNG; each panel has a scale of colours of its own."""
    height, width = measured.shape
    tall = float(np.clip(height / width, 0.3, 3))
    rows = len(result.maps)
    figure = Figure(figsize=(3 * _PANEL_INCHES + 2, rows * _PANEL_INCHES * tall + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 3, squeeze=False)
    beside = measured.patterns.mean(axis=0) if measured.txm is None else measured.txm
    for number, (element, plane) in enumerate(result.maps.items()):
        _draw(panels[number, 0], plane, element)
        _draw(panels[number, 1], result.sigma.get(element, np.full_like(plane, np.nan)), f"sigma {element}")
        if number:
            panels[number, 2].set_axis_off()
        else:
            _draw(panels[number, 2], beside, "mean pattern" if measured.txm is None else "TXM image")
    figure.suptitle(f"{result.method}, {len(measured.patterns)} patterns of {height} x {width} pixels")
    figure.savefig(path, dpi=110, format="png")


def _draw(axis: Axes, plane: NDArray[np.floating], title: str) -> None:
    finite = plane[np.isfinite(plane)]
    top = float(np.percentile(finite, _BRIGHTEST)) if finite.size else 1.0
    axis.set_facecolor("grey")
    image = axis.imshow(plane, cmap="inferno", vmin=0.0, vmax=top if top > 0 else 1.0)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title)
    axis.figure.colorbar(image, ax=axis, shrink=0.9)
