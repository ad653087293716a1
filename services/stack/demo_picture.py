"""The picture at the end of the demo: coarse, enhanced and true, as projection and as slice."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from services.stack.scoring import Comparison, Kind

_COLUMNS = {"coarse": "measured", "bicubic": "bicubic", "enhanced": "enhanced by subprobe", "truth": "truth"}
_BAR_UM = 1.0


def draw_story(comparison: Comparison, path: Path) -> Path:
    """Draw a projection and a slice, each row on one scale of the truth; the path of the PNG."""
    angle = len(comparison.angles_deg) // 3
    projections = {method: stack[angle] for method, stack in comparison.stacks.items()}
    height = _busiest_row(comparison.volumes["truth"])
    slices = {method: volume[:, height] for method, volume in comparison.volumes.items()}
    figure = Figure(figsize=(14.6, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(_COLUMNS))
    title = f"{comparison.element} at {comparison.angles_deg[angle]:.1f}°"
    _draw_row(axes[0], projections, title, "µg/cm²", comparison, "maps")
    _draw_row(axes[1], slices, f"{comparison.element}, slice across the axis", "g/cm³", comparison, "volume")
    _draw_scale_bar(axes[0, 0], comparison.pixel_size_nm, projections["truth"].shape)
    figure.savefig(path, dpi=110)
    return path


def _draw_row(
    axes: NDArray[np.object_],
    images: dict[str, NDArray[np.float32]],
    title: str,
    unit: str,
    comparison: Comparison,
    kind: Kind,
) -> None:
    limits = {"vmin": 0.0, "vmax": float(np.percentile(images["truth"], 99.8))}
    for axis, (method, label) in zip(axes, _COLUMNS.items(), strict=True):
        drawn = axis.imshow(images[method], cmap="inferno", interpolation="nearest", **limits)
        axis.set_title(label, fontsize=11)
        axis.set_xlabel(_score_text(comparison, kind, method), fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_ylabel(title, fontsize=11)
    axes[0].figure.colorbar(drawn, ax=axes[-1], label=unit, shrink=0.9)


def _score_text(comparison: Comparison, kind: Kind, method: str) -> str:
    texts = [
        f"{kind}: {score.psnr_db:.1f} dB, SSIM {score.ssim:.2f}"
        for score in comparison.scores
        if score.kind == kind and score.method == method
    ]
    return "".join(texts)


def _draw_scale_bar(axis: Axes, pixel_size_nm: float, shape: tuple[int, ...]) -> None:
    length_px = _BAR_UM * 1e3 / pixel_size_nm
    x, y = 0.05 * shape[1], 0.94 * shape[0]
    axis.plot([x, x + length_px], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axis.text(x + length_px / 2, y - 0.02 * shape[0], f"{_BAR_UM:g} µm", color="white", ha="center", va="bottom")


def _busiest_row(volume: NDArray[np.float32]) -> int:
    """The height at which the truth varies most."""
    return int(np.argmax(volume.std(axis=(0, 2))))
