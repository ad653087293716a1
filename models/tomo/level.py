"""How dense a specimen is, from its projections: what defaults hang on, the same from all rows or from their parts."""

from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from models.tomo.geometry import Array

Stack = NDArray[np.float32]


@dataclass(frozen=True)
class Whole:
    """What all the projections say, for a reconstruction of some of their rows; slices are independent but for this.

    An angle of which these rows were not measured is then no error: others were.

    Attributes:
        level: `typical_voxel` of them.
    """

    level: float


def row_sums(projections: Stack) -> Array:
    """Of each row the sum of what is positive and that of its squares, (2, angle, y); the same in whichever stack."""
    positive = np.ascontiguousarray(np.where(projections > 0, projections, 0), np.float64)
    return np.stack([positive.sum(axis=-1), np.square(positive).sum(axis=-1)])


def level_of_rows(sums: Array, width: int) -> float:
    """`typical_voxel` of projections of so many pixels along u from their `row_sums`, to the bit in any order."""
    total, squares = fsum(sums[0].flat), fsum(sums[1].flat)
    return 2 * squares / total / width if total else 1.0


def typical_voxel(projections: Stack) -> float:
    """Of the specimen, in the projections' unit per pixel: the mean line integral, weighted by itself, over half the
    width of the detector. 1 for empty projections, where nothing depends on it."""
    return level_of_rows(row_sums(projections), projections.shape[-1])
