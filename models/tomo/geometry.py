"""Parallel-beam geometry: where a voxel is seen, where the rotation axis stands, what each angle weighs.

A specimen point (x, y, z) is seen at u = x cos(theta) + z sin(theta), height y. Positions along u are EDGE coordinates
of the pixel grid: pixel i covers [i, i + 1), so the middle of ``width`` pixels is width / 2. The rotation axis passes
through the middle of every volume, wherever it stands on the detector.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SAME_ANGLE_DEG = 1e-4
"""Angles are told apart to this; equal ones, modulo half a turn, share the weight of their direction."""


def checked_angles(angles_deg: ArrayLike, n_projections: int) -> Array:
    """Angles as float64, (angle,).

    Raises:
        ValueError: not one finite angle per projection.
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    if angles.shape != (n_projections,):
        raise ValueError(
            f"angles_deg has shape {angles.shape} for {n_projections} projections: pass one angle per projection"
        )
    if not np.isfinite(angles).all():
        raise ValueError(
            f"angles_deg has {np.count_nonzero(~np.isfinite(angles))} entries that are not finite: leave those out"
        )
    return angles


def checked_stack(array: NDArray[np.float32], axes: str) -> NDArray[np.float32]:
    """A non-empty float32 array of three axes, whose names go into the error.

    Raises:
        ValueError: another number of axes, or one of no length.
    """
    if array.ndim != 3 or not array.size:
        raise ValueError(f"an array of shape {array.shape} came: pass ({axes}), each at least 1")
    return np.asarray(array, dtype=np.float32)


def checked_centre(centre_px: float, width: int) -> float:
    """A rotation axis that the detector sees.

    Raises:
        ValueError: it stands outside the detector.
    """
    if not 0 <= centre_px <= width:
        raise ValueError(
            f"centre_px is {centre_px} on a detector of {width} pixels: "
            f"pass edge coordinates from 0 to {width}, where {width / 2} is the middle"
        )
    return float(centre_px)


def index_to_edge(index_px: float) -> float:
    """Edge coordinate of a position given in pixel indices, where index i is the middle of pixel i."""
    return index_px + 0.5


def edge_to_index(edge_px: float) -> float:
    """Pixel index of a position given in edge coordinates."""
    return edge_px - 0.5


def angle_weights(angles_deg: Array) -> Array:
    """What each projection contributes to an integral over half a turn, in radians; (angle,), with sum pi.

    Directions are ordered modulo 180 degrees, whatever the order of measurement; each stands for half of the gap to
    either neighbour, and projections of one direction share its weight. The two ends of a missing wedge stand for it.
    """
    half_turn = round(180.0 / SAME_ANGLE_DEG)
    steps = np.round(angles_deg / SAME_ANGLE_DEG).astype(np.int64) % half_turn
    directions, group, count = np.unique(steps, return_inverse=True, return_counts=True)
    gaps = np.diff(directions, append=directions[0] + half_turn)
    share: Array = np.deg2rad((gaps + np.roll(gaps, 1)) / 2 * SAME_ANGLE_DEG) / count
    return share[group]


def turning_order(angles_deg: Array) -> NDArray[np.int64]:
    """Indices of the angles one after the other: as they came where they rise or fall throughout within one turn, else
    by direction modulo half a turn, equal directions as they came."""
    steps = np.diff(angles_deg)
    if (np.all(steps >= 0) or np.all(steps <= 0)) and np.ptp(angles_deg) <= 360.0:
        return np.arange(len(angles_deg))
    half_turn = round(180.0 / SAME_ANGLE_DEG)
    return np.argsort(np.round(angles_deg / SAME_ANGLE_DEG).astype(np.int64) % half_turn, kind="stable")
