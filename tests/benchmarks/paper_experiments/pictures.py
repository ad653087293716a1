"""Pictures of slices and of correlations."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Frequency in 1/nm, correlation."""


def draw_slices(images: Mapping[str, NDArray[np.float32]], path: Path, *, white: float = 0.998) -> None:
    """Densities of one field of view beside each other, on one scale of grey up to a quantile of the first."""
    n_columns = min(len(images), 3)
    n_rows = -(-len(images) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(2.5 * n_columns, 2.65 * n_rows), squeeze=False)
    top = float(np.quantile(next(iter(images.values())), white))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, image) in zip(axes.flat, images.items(), strict=False):
        shown = axis.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="nearest")
        axis.set_title(title, fontsize=8)
    figure.subplots_adjust(left=0.01, right=0.88, top=0.95, bottom=0.01, wspace=0.03, hspace=0.1)
    bar = figure.add_axes((0.895, 0.2, 0.02, 0.6))
    figure.colorbar(shown, cax=bar).set_label("g/cm$^3$", fontsize=8)
    _close(figure, path)


def draw_curves(
    panels: Mapping[str, Mapping[str, tuple[Curve, Curve | None]]], path: Path, marks_nm: Mapping[str, float]
) -> None:
    """For each panel and name the correlation with the truth, drawn through, and that of halves, dashed."""
    figure, axes = plt.subplots(1, len(panels), figsize=(2.2 + 3.2 * len(panels), 4.2), squeeze=False, sharey=True)
    for axis, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        for index, (name, (truth, halves)) in enumerate(curves.items()):
            axis.plot(*truth, color=f"C{index}", label=name)
            if halves is not None:
                axis.plot(*halves, color=f"C{index}", linestyle="--", linewidth=1)
        for words, mark_nm in marks_nm.items():
            axis.axvline(1 / mark_nm, color="0.7", linewidth=0.8)
            axis.text(1 / mark_nm, 1.01, words, fontsize=6, ha="center", color="0.4")
        axis.axhline(0.5, color="0.7", linewidth=0.8)
        axis.set(xlabel="frequency (1/nm)", ylim=(-0.25, 1.07), title=title)
        axis.title.set_fontsize(9)
        axis.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        axis.xaxis.set_major_locator(MaxNLocator(6))
    axes[0, 0].set_ylabel("correlation with the truth (dashed: of halves)", fontsize=8)
    figure.tight_layout()
    _close(figure, path)


def _close(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=90)
    plt.close(figure)
