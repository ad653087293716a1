"""Dead time and I0: what turns counts of every detector element into counts at nominal flux."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class PointWeights:
    """Factors of the counts of each detector element in the mean over the elements that counted.

    Attributes:
        weights: (row, point, detector): real/live time times nominal/measured I0 over the number of elements that
            counted; 0 where a detector element did not count.
        mask: (row, point), True where the monitor and at least one detector element counted.
    """

    weights: NDArray[np.float64]
    mask: NDArray[np.bool_]


def point_weights(
    live_time_s: ArrayLike, real_time_s: ArrayLike, i0: ArrayLike, i0_nominal: float, counted: NDArray[np.bool_]
) -> PointWeights:
    """Weigh each detector element of each point; NaN, zero and negative times or I0 take it out.

    Elements have equal solid angles, so the mean over those that counted stands for the sum over all.

    Args:
        live_time_s: (row, point, detector).
        real_time_s: (row, point, detector).
        i0: (row, point), monitor counts.
        i0_nominal: monitor counts to normalise to.
        counted: (row, point, detector), False where a spectrum is not to be used.
    """
    live, real, monitor = (np.asarray(values, np.float64) for values in (live_time_s, real_time_s, i0))
    with np.errstate(invalid="ignore"):
        usable = counted & (live > 0) & (real > 0) & np.isfinite(live) & np.isfinite(real)
        monitored = np.isfinite(monitor) & (monitor > 0)
    dead_time = np.divide(real, live, out=np.zeros(usable.shape), where=usable)
    flux = np.divide(i0_nominal, monitor, out=np.zeros(monitor.shape), where=monitored)
    elements = np.maximum(usable.sum(axis=-1), 1)
    return PointWeights(dead_time * (flux / elements)[..., None], monitored & usable.any(axis=-1))
