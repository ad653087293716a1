"""Held-out maps before and after fine-tuning, and what either leaves of the fine readings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from models.superres.pairs.recording import Map, Recording
from models.superres.training.judging import map_and_residual

_INCHES = 2.4
_ROWS = 4  # of maps
_SIGMAS = 4.0


def draw_held_out(
    before: nn.Module, after: nn.Module, recordings: Sequence[Recording], device: str, path: Path
) -> None:
    """Write a PNG with a row for each of the first few held-out maps."""
    shown = recordings[:_ROWS]
    figure = Figure(figsize=(6 * _INCHES, _INCHES * len(shown) + 0.3), layout="constrained")
    axes = figure.subplots(len(shown), 6, squeeze=False)
    for number, (row, recording) in enumerate(zip(axes, shown, strict=True)):
        (old, old_left), (new, new_left) = (map_and_residual(network, recording, device) for network in (before, after))
        maps = {"coarse": _measured(recording.coarse, recording.mask), "before": old, "after": new}
        if recording.fine_scan is not None:
            maps["fine scan, as read"] = _measured(recording.fine, recording.fine_scan.mask)
        left = {"left of it before, sigma": old_left, "after, sigma": new_left}
        for axis, (name, plane) in zip(row, (maps | left).items(), strict=True):
            if name in left:
                axis.imshow(plane, cmap="RdBu_r", vmin=-_SIGMAS, vmax=_SIGMAS)
            else:
                axis.imshow(plane, cmap="inferno", vmin=0, vmax=float(np.nanquantile(plane, 0.995)))
            axis.set(xticks=[], yticks=[], title="" if number else name)
    figure.suptitle(f"views held out; residuals of the fine scan from -{_SIGMAS:g} to {_SIGMAS:g} sigma", fontsize=9)
    figure.savefig(path, dpi=110)


def _measured(values: Map, mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Map:
    return np.where(mask, values, np.float32(np.nan))
