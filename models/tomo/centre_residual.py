"""The rotation axis refined: where the projections fit best to the reprojections of their own reconstruction."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tomo.alignment_shift import shifted_complete
from models.tomo.centre import CentreEstimate, find_centre_px
from models.tomo.geometry import Array, checked_angles, checked_stack
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.tomo.missing import fill_missing
from models.tomo.reprojector import Reprojector

_REACH_PX = 2.0
_STEP_PX = 0.5
_PARABOLA_PX = 1.0
"""Either side of the least residual: nearer, noise bends it; farther, the residual is no parabola."""
_MOST_SCANS = 3
"""Each is centred on the least residual of the one before if that stood at an end."""
_MOST_SLICES = 24
_MOST_WIDTH = 256
_GROUPS = 4
_SYSTEMATIC_PX = 0.02
"""Of the bins: error without any noise, as the reprojections have not converged (measured 0.005 to 0.02)."""


def refine_centre(
    projections: NDArray[np.float32],
    angles_deg: ArrayLike,
    reproject: Reprojector,
    first: CentreEstimate | None = None,
    *,
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> CentreEstimate:
    """The axis of least reprojection residual near a first guess, by a scan of 2 pixels and a parabola.

    The data are moved, not the grid: the same voxels and rays serve every candidate, so that none gains from blur.

    Args:
        projections: (angle, y, u); NaN where not measured. The 24 rows of largest mass are used.
        angles_deg: one per projection.
        reproject: see `models.tomo.reprojector.ByEngine`.
        first: None: `find_centre_px`.
        progress, cancelled: after each scan.

    Returns:
        The first guess, with the reason, where the specimen is wider than the view: what is missing weighs more in
        the residual than the axis. ``sigma_px`` is the scatter of four groups of rows
        and what the method itself may be off.

    Raises:
        ValueError: as `find_centre_px`.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    stack = checked_stack(projections, "angle, y, x")
    angles = checked_angles(angles_deg, len(stack))
    seen = np.isfinite(stack).any(axis=(1, 2))
    guess = find_centre_px(stack, angles) if first is None else first
    if guess.truncated:
        return replace(guess, reason=f"{guess.reason}; not refined, for the residual would tell of what is not in view")
    bins = -(-stack.shape[-1] // _MOST_WIDTH)
    rows = _rows(fill_missing(stack[seen]).values, bins)
    middle = guess.value_px / bins
    for scan in range(_MOST_SCANS):
        candidates = middle + np.arange(-_REACH_PX, _REACH_PX + _STEP_PX / 2, _STEP_PX)
        residuals = _residuals(rows, angles[seen], candidates, reproject)
        best = int(residuals.sum(axis=0).argmin())
        step_done((scan + 1) / _MOST_SCANS, progress, cancelled)
        if 0 < best < len(candidates) - 1:
            break
        middle = candidates[best]
    value = _vertex(candidates, residuals.sum(axis=0)) * bins
    groups = [_vertex(candidates, group) * bins for group in residuals]
    scatter = float(np.std(groups, ddof=1) / np.sqrt(len(groups))) if len(groups) > 1 else guess.sigma_px
    sigma = float(np.hypot(scatter, _SYSTEMATIC_PX * bins))
    step_done(1.0, progress, cancelled)
    reason = f"{guess.reason}; {value - guess.value_px:+.2f} px from the {guess.method} to the least residual"
    return CentreEstimate(float(value), sigma, "least reprojection residual", reason)


def _rows(stack: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """(angle, y, u): the rows of largest mass, in bins along u."""
    order = np.argsort(stack.sum(axis=(0, 2)))[::-1][:_MOST_SLICES]
    chosen = stack[:, np.sort(order)]
    width = chosen.shape[-1] // bins * bins
    binned: NDArray[np.float32] = chosen[..., :width].reshape(*chosen.shape[:2], -1, bins).mean(axis=3)
    return binned


def _residuals(rows: NDArray[np.float32], angles_deg: Array, candidates_px: Array, reproject: Reprojector) -> Array:
    """(group of rows, candidate) sums of squares."""
    n_angles, n_rows, width = rows.shape
    # Nothing may leave the grid when the axis comes to its middle, or the grid would tell of itself.
    margin = int(np.ceil(np.abs(candidates_px - width / 2).max())) + 1
    wide = np.pad(rows, ((0, 0), (0, 0), (margin, margin)))
    middle, still = width / 2 + margin, np.zeros(n_angles)
    moves = [np.full(n_angles, middle - margin - candidate) for candidate in candidates_px]
    stack = np.concatenate([shifted_complete(wide, still, move) for move in moves], axis=1)
    squares = np.square(stack - reproject(stack, angles_deg, middle), dtype=np.float64).sum(axis=(0, 2))
    by_row = squares.reshape(len(candidates_px), n_rows).T
    n_groups = min(_GROUPS, n_rows)
    return np.stack([by_row[start::n_groups].sum(axis=0) for start in range(n_groups)])


def _vertex(candidates_px: Array, residuals: Array) -> float:
    best = int(residuals.argmin())
    near = np.abs(candidates_px - candidates_px[best]) <= _PARABOLA_PX + _STEP_PX / 2
    bend, slope, _ = np.polyfit(candidates_px[near] - candidates_px[best], residuals[near], 2)
    if not bend > 0:
        return float(candidates_px[best])
    return float(np.clip(candidates_px[best] - slope / (2 * bend), candidates_px[0], candidates_px[-1]))
