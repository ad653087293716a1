"""The rotation axis of a specimen wider than the view, from the double wedge that its sinogram's spectrum fills.

A sinogram of half a turn and its own mirror image make a full turn once the mirror stands at the axis. Only then is the
spectrum empty between the double wedge |v| <= 2 pi r f (v in periods per turn, f in cycles per pixel, r the radius that
is in view) and the axis f = 0. No more is asked of the specimen, and least of all that it ends within the view.

Source: Vo, Drakopoulos, Atwood, Reinhard, Optics Express 22 (2014) 19078, equation 3.
"""

from itertools import combinations, pairwise

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from models.tomo.geometry import SAME_ANGLE_DEG, Array

_LEAST_ANGLES = 16
_MOST_MISSING = 3.0
"""Times the median step between two angles: a wider gap cannot be interpolated."""
_REACH = 1 / 8
"""Of the detector's width, to either side of its middle."""
_COARSE_WIDTH = 160
_SLABS = 8
_RADIUS = 0.5
"""Of the width, as the paper's radius of the specimen: all that is in view."""
_FINE_REACH_PX = 2.5
_FINE_STEP_PX = 0.25
_PARABOLA_PX = 0.75
"""Either side of the least cost."""
_LEAST_OF_PARABOLA = 5
"""Positions; at an end of what was tried there are fewer."""
_SYSTEMATIC_PX = 0.08
"""Error without any noise: measured 0.01 to 0.16 on windows of simulated specimens, see the README."""
_UNKNOWN_PX = 0.5
"""Of a single row, which has no halves."""
_DROPPED_TURNS = 0.05
"""Of the periods per turn: the rows that carry the wedge's bright middle and the seam of a specimen that was cut."""


def covers_half_a_turn(angles_deg: Array) -> bool:
    """Whether `wedge_centre` can use these angles: enough of them, without a wide gap, over 180 degrees."""
    angles = _directions(angles_deg)
    steps = np.diff(angles)
    if len(angles) < _LEAST_ANGLES:
        return False
    widest = _MOST_MISSING * float(np.median(steps))
    return bool(steps.max() <= widest and 180.0 - (angles[-1] - angles[0]) <= widest)


def wedge_centre(projections: NDArray[np.float32], angles_deg: Array) -> tuple[float, float]:
    """(edge coordinate, one standard deviation) of the rotation axis, within an eighth of the width from the middle.

    The axis is the mean of what all halves of up to 8 slabs of the specimen say, which at few counts is nearer than
    what they say together; the deviation is that of the halves from the whole, and what the method may be off.

    Args:
        projections: (angle, y, u), finite.
        angles_deg: in any order; `covers_half_a_turn`.
    """
    n = projections.shape[-1]
    slabs = _even_sinograms(projections, angles_deg)
    bins = max(1, n // _COARSE_WIDTH)
    coarse = slabs[..., : n // bins * bins].reshape(*slabs.shape[:2], -1, bins).mean(axis=3)
    candidates = np.arange((0.5 - _REACH) * n, (0.5 + _REACH) * n, bins)
    guess = candidates[_outside(coarse, candidates / bins).sum(axis=0).argmin()]
    if bins > 1:
        nearby = guess + np.arange(-1.5 * bins, 1.5 * bins + 0.25, 0.5)
        guess = nearby[_outside(slabs, nearby).sum(axis=0).argmin()]
    around = guess + np.arange(-_FINE_REACH_PX, _FINE_REACH_PX + _FINE_STEP_PX / 2, _FINE_STEP_PX)
    costs = _outside(slabs, around)
    n_slabs = len(costs)
    whole = _vertex(around, costs.sum(axis=0))
    if n_slabs == 1:
        return whole, _UNKNOWN_PX
    n_half = n_slabs // 2
    halves = [_vertex(around, costs[list(half)].sum(axis=0)) for half in combinations(range(n_slabs), n_half)]
    squares = float(np.mean(np.square(np.array(halves) - whole)))
    return float(np.mean(halves)), float(np.sqrt(squares * n_half / (n_slabs - n_half) + _SYSTEMATIC_PX**2))


def _directions(angles_deg: Array) -> Array:
    """The different angles of the first half turn, in order."""
    steps = np.unique(np.round((angles_deg - angles_deg.min()) / SAME_ANGLE_DEG))
    return steps[steps * SAME_ANGLE_DEG < 180.0 - SAME_ANGLE_DEG] * SAME_ANGLE_DEG


def _even_sinograms(projections: NDArray[np.float32], angles_deg: Array) -> NDArray[np.float32]:
    """(slab, angle, u): means over some rows each, at even steps over the first half turn."""
    angles = _directions(angles_deg)
    offset = angles_deg - angles_deg.min()
    nearest = np.abs(offset[:, None] - angles).argmin(axis=0)
    edges = np.linspace(0, projections.shape[1], min(_SLABS, projections.shape[1]) + 1).astype(int)
    slabs = np.stack([projections[nearest, a:b].mean(axis=1) for a, b in pairwise(edges)])
    even = np.arange(len(angles)) * (180.0 / len(angles))
    upper = np.clip(np.searchsorted(angles, even), 1, len(angles) - 1)
    share = np.clip((even - angles[upper - 1]) / (angles[upper] - angles[upper - 1]), 0.0, 1.0)[:, None]
    return np.asarray((1 - share) * slabs[:, upper - 1] + share * slabs[:, upper], dtype=np.float32)


def _outside(slabs: NDArray[np.float32], candidates_px: Array) -> Array:
    """(slab, candidate): mean |spectrum| of the full turn outside the double wedge."""
    n_angles, n = slabs.shape[1:]
    turns = np.abs(np.fft.fftfreq(2 * n_angles) * 2 * n_angles)
    frequency = np.fft.rfftfreq(n)
    mask = turns[:, None] > 2 * np.pi * _RADIUS * n * frequency
    mask &= (turns > max(2, min(20, _DROPPED_TURNS * 2 * n_angles)))[:, None]
    mask[:, :2] = False
    mirror, unseen = slabs[:, :, ::-1], slabs[:, ::-1]
    even = scipy.fft.rfft(np.concatenate([mirror, slabs], axis=2), axis=2)
    costs = np.empty((len(slabs), len(candidates_px)))
    for index, centre in enumerate(candidates_px):
        shift = 2 * centre - n
        phase = np.exp(-2j * np.pi * np.fft.rfftfreq(2 * n) * shift).astype(np.complex64)
        moved = scipy.fft.irfft(even * phase, n=2 * n, axis=2)[..., :n]
        columns = np.arange(n)
        beyond = columns < shift if shift > 0 else columns >= n + shift
        # What the mirror cannot tell stands in the projection from the other side, at the end of the half turn.
        full = np.concatenate([slabs, np.where(beyond, unseen, moved)], axis=1)
        costs[:, index] = np.abs(scipy.fft.rfft2(full, axes=(1, 2)))[:, mask].mean(axis=1)
    return costs


def _vertex(positions: Array, costs: Array) -> float:
    """Of the parabola about the least of the costs, within the positions."""
    least = positions[costs.argmin()]
    near = np.abs(positions - least) <= _PARABOLA_PX + _FINE_STEP_PX / 2
    if np.count_nonzero(near) < _LEAST_OF_PARABOLA:
        return float(least)
    bend, slope, _ = np.polyfit(positions[near] - least, costs[near], 2)
    return float(least + np.clip(-slope / (2 * bend), -_PARABOLA_PX, _PARABOLA_PX)) if bend > 0 else float(least)
