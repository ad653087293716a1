"""A picture of correlation curves with their thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STYLES = {"half_bit": "-", "one_bit": "--", "one_seventh": ":", "one_half": "-."}
_WORDS = {"half_bit": "half bit", "one_bit": "one bit", "one_seventh": "1/7", "one_half": "1/2"}


@dataclass(frozen=True, eq=False)
class Curve:
    """One panel.

    Attributes:
        title: of the panel.
        frequency_per_nm: (shell,).
        values: (shell,) correlation.
        thresholds: (shell,) by criterion.
        resolutions: in words, by criterion.
    """

    title: str
    frequency_per_nm: Array
    values: Array
    thresholds: Mapping[str, Array]
    resolutions: Mapping[str, str]


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write a PNG, a panel for each curve, up to the Nyquist frequency."""
    figure = Figure(figsize=(7.0, 4.6 * len(curves)), layout=ConstrainedLayoutEngine(h_pad=0.12))
    FigureCanvasAgg(figure)
    for curve, axis in zip(curves, figure.subplots(len(curves), 1, squeeze=False)[:, 0], strict=True):
        axis.axhline(0.0, color="lightgrey", linewidth=0.8)
        axis.plot(curve.frequency_per_nm, curve.values, color="tab:blue", label="correlation")
        for name, threshold in curve.thresholds.items():
            label = f"{_WORDS[name]}: {curve.resolutions[name].split(',')[0]}"
            # Shell 0 is the mean, and few voxels make thresholds above 1 that say nothing.
            shown = (curve.frequency_per_nm[1:], np.minimum(threshold[1:], 1.0))
            axis.plot(*shown, color="tab:red", linestyle=_STYLES[name], linewidth=1.0, label=label)
        axis.set_title(curve.title, fontsize=10)
        axis.set_xlabel("spatial frequency [1/nm]")
        axis.set_ylabel("Fourier correlation")
        axis.set_xlim(0, curve.frequency_per_nm[-1])
        axis.set_ylim(min(-0.1, float(curve.values.min()) - 0.05), 1.05)
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False)
    figure.savefig(path, dpi=120, format="png")
