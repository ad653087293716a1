"""Pixels that were not measured, filled from their neighbours in the same projection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

_NEIGHBOURS = 8


@dataclass(frozen=True)
class FilledProjections:
    """Projections without gaps.

    Attributes:
        values: (angle, y, x), finite everywhere.
        n_filled: pixels that were not measured.
    """

    values: NDArray[np.float32]
    n_filled: int


def fill_missing(projections: NDArray[np.float32]) -> FilledProjections:
    """Replace NaN and infinite pixels by the inverse-square-distance mean of the nearest measured ones beside the gap.

    A zero in their place would stand for an absence of the element and streak through the volume.

    Args:
        projections: (angle, y, x); returned as they are when nothing is missing.

    Raises:
        ValueError: a projection has no measured pixel at all.
    """
    missing = ~np.isfinite(projections)
    if not missing.any():
        return FilledProjections(projections, 0)
    values = projections.copy()
    for index in np.flatnonzero(missing.any(axis=(1, 2))):
        if missing[index].all():
            raise ValueError(f"projection {index} has no measured pixel: leave this angle out")
        _fill(values[index], missing[index])
    return FilledProjections(values, int(np.count_nonzero(missing)))


def _fill(image: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
    rim = binary_dilation(missing, structure=np.ones((3, 3), dtype=bool)) & ~missing
    gaps, known = np.argwhere(missing), np.argwhere(rim)
    distance, nearest = cKDTree(known).query(gaps, k=range(1, 1 + min(_NEIGHBOURS, len(known))))
    weights = np.asarray(distance) ** -2
    image[missing] = (weights * image[rim][nearest]).sum(axis=1) / weights.sum(axis=1)
