"""Halves that share nothing but the specimen: the split comes first, everything else after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]

SHARED_PRIOR_NOTE = (
    "Both halves went through the same network or prior. What it adds is alike in both, so their correlation tells how "
    "well it agrees with itself and overstates the resolution. Only halves split before it and the truth can judge it."
)
"""To stand beside every curve of such halves."""

_SAME_ANGLE_DEG = 1e-4


@dataclass(frozen=True, eq=False)
class AngleSplit:
    """Which projections go into which half.

    Attributes:
        even, odd: indices of the projections, each in the order of the angles; every projection is in one of them.
    """

    even: Indices
    odd: Indices


def odd_even_split(angles_deg: ArrayLike) -> AngleSplit:
    """Every other angle, in order of angle; do it before enhancement, denoising or joint alignment of the values.

    Repeats of one angle go alternately to the halves, and count as one angle for the others where they fill both.

    Args:
        angles_deg: one per projection, any order.

    Raises:
        ValueError: fewer than two projections, or angles that are not finite.
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    if angles.ndim != 1 or len(angles) < 2 or not np.isfinite(angles).all():
        raise ValueError(f"angles_deg has shape {angles.shape}: pass at least two finite angles, one per projection")
    order = np.argsort(angles, kind="stable")
    starts = np.flatnonzero(np.diff(angles[order], prepend=-np.inf) > _SAME_ANGLE_DEG)
    halves: tuple[list[int], list[int]] = ([], [])
    turn = 0
    for group in np.split(order, starts[1:]):
        for index in group:
            halves[turn].append(int(index))
            turn = 1 - turn
        if len(group) % 2 == 0:
            turn = 1 - turn
    return AngleSplit(np.array(halves[0], dtype=np.int64), np.array(halves[1], dtype=np.int64))
