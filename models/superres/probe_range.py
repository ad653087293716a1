"""How wide the kernel of a scan is, and whether a network has met such kernels."""

from collections.abc import Iterable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.physics.xray import FWHM_PER_SIGMA

Range = tuple[float, float]
ProbeRange = tuple[Range, Range]
"""(least, most) of the narrow and of the wide width of `widths_steps`."""

_OUTLYING = 0.005  # share of the training's kernels left out at either end


def widths_steps(kernel: NDArray[np.float32], scale: int) -> tuple[float, float]:
    """Narrow and wide axis of a kernel (k, k) in steps: of a Gaussian with its second moments, at half maximum."""
    places = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    weight = kernel.astype(np.float64) / kernel.sum(dtype=np.float64)
    y, x = weight.sum(1) @ places, weight.sum(0) @ places
    yy, xx = weight.sum(1) @ (places - y) ** 2, weight.sum(0) @ (places - x) ** 2
    yx = (places - y) @ weight @ (places - x)
    middle, half = (yy + xx) / 2, sqrt(((yy - xx) / 2) ** 2 + yx**2)
    narrow, wide = (FWHM_PER_SIGMA * sqrt(max(variance, 0.0)) / scale for variance in (middle - half, middle + half))
    return narrow, wide


def range_of(kernels: Iterable[NDArray[np.float32]], scale: int) -> ProbeRange:
    """What nearly all of some kernels lie in."""
    widths = np.array([widths_steps(kernel, scale) for kernel in kernels])
    (least, most) = np.quantile(widths, (_OUTLYING, 1 - _OUTLYING), axis=0).round(3)
    return (float(least[0]), float(most[0])), (float(least[1]), float(most[1]))


def widened(known: ProbeRange, kernels: Iterable[NDArray[np.float32]], scale: int) -> ProbeRange:
    """A range that holds some more kernels, all of them."""
    widths = np.array([widths_steps(kernel, scale) for kernel in kernels]).round(3)
    (narrow_least, narrow_most), (wide_least, wide_most) = known
    least, most = widths.min(0), widths.max(0)
    return (
        (min(narrow_least, float(least[0])), max(narrow_most, float(most[0]))),
        (min(wide_least, float(least[1])), max(wide_most, float(most[1]))),
    )


def outside(kernel: NDArray[np.float32], scale: int, known: ProbeRange) -> str:
    """A warning in words for a kernel that a training's range does not hold; empty for one that it does."""
    for name, width, (least, most) in zip(("narrow", "wide"), widths_steps(kernel, scale), known, strict=True):
        if not 0.98 * least <= width <= 1.02 * most:
            return (
                f"probe outside the training range: {width:.2g} steps along its {name} axis, "
                f"trained on {least:.2g} to {most:.2g}; lmmse has no such range"
            )
    return ""
