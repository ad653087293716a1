"""Projections of a stage that wobbles, aligned by what their own reconstruction says they should show.

Reconstruct, project again, register each projection with its reprojection, move it, and begin again. Where the data
cannot tell, a convention (the gauge) decides: a mean shift and the cosine and sine of the angle along u are the place
of the rotation axis and of the specimen, a mean along y is the specimen's height.

Source: Guersoy, Hong, He et al., Sci. Rep. 7 (2017) 11818 (joint reprojection).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tomo.alignment_registration import offsets_px
from models.tomo.alignment_shift import shifted_complete
from models.tomo.centre import MOST_AT_BORDERS, above_background, find_centre_px, share_at_borders
from models.tomo.geometry import Array, checked_angles, checked_centre, checked_stack
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.tomo.missing import fill_missing
from models.tomo.reprojector import Reprojector

Stack = NDArray[np.float32]
Stop = Literal["converged", "residual no longer falls", "most rounds"]

_LEAST_GAIN = 1e-3
"""Of the residual in a round: after less, shifts follow the noise (0.06 to 0.11 px in 8 rounds at 30 counts)."""
_PROFILE_ROUNDS = 5
_TAPER = 1 / 8
"""Of each side: what a border cuts off is not in both images, and would hold them where they are."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Shifts that bring every projection into place, for `models.tomo.alignment_shift.shifted`, all elements alike.

    Attributes:
        y_px, u_px: (angle,) to be moved by, with the gauge fixed: no mean along y; no cosine and sine along u, and no
            mean but what brings the axis to a ``centre_px`` that was given.
        centre_px: rotation axis of the moved projections, edge coordinates.
        residuals: ||moved - reprojected|| / ||moved|| before each round and after the last.
        steps_px: rms change of the shifts in each round.
        stopped: why.
    """

    y_px: Array
    u_px: Array
    centre_px: float
    residuals: tuple[float, ...]
    steps_px: tuple[float, ...]
    stopped: Stop


@dataclass(frozen=True)
class _Limits:
    """Of the rounds; as in `align`."""

    shift_px: float
    tolerance_px: float
    rounds: int
    damping: float

    def __post_init__(self) -> None:
        if not self.shift_px > 0 or not self.tolerance_px > 0:
            raise ValueError(
                f"most_shift_px is {self.shift_px} and tolerance_px {self.tolerance_px}: pass positive lengths"
            )
        if self.rounds < 1 or not 0 < self.damping <= 1:
            raise ValueError(
                f"most_rounds is {self.rounds} and damping {self.damping}: pass at least 1, and a share above 0 and at "
                "most 1"
            )

    def within(self, shifts_px: Array) -> Array:
        """Shifts no larger than the largest."""
        return np.clip(shifts_px, -self.shift_px, self.shift_px)


def align(
    projections: Stack,
    angles_deg: ArrayLike,
    reproject: Reprojector,
    centre_px: float | None = None,
    *,
    most_shift_px: float = 10.0,
    tolerance_px: float = 0.01,
    most_rounds: int = 20,
    damping: float = 1.0,
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> Alignment:
    """Find the shift of each projection by joint reprojection, from the mass profiles on.

    Args:
        projections: (angle, y, u) of the element, or the sum of elements, with most signal; NaN where not measured.
        angles_deg: one per projection.
        reproject: see `models.tomo.reprojector.ByEngine`.
        centre_px: rotation axis in edge coordinates, to which the projections are then moved; None: where their mean
            place has it, or `find_centre_px` where the specimen is not wholly in view.
        most_shift_px: that one projection may need, along either axis.
        tolerance_px: rms change of the shifts at which they have converged.
        most_rounds: after which it ends anyway.
        damping: share of each round's shifts that is taken; less than 1 where they swing.
        progress, cancelled: after each round.

    Raises:
        ValueError: shapes, angles or parameters make no sense.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    stack = checked_stack(projections, "angle, y, x")
    angles = checked_angles(angles_deg, len(stack))
    limits = _Limits(most_shift_px, tolerance_px, most_rounds, damping)
    measured = fill_missing(stack).values
    given = None if centre_px is None else checked_centre(centre_px, stack.shape[-1])
    y = _from_profiles(measured.sum(axis=2, dtype=np.float64), most_shift_px)
    u, centre = _from_mass_centres(measured, angles, most_shift_px, given)
    start = Alignment(y, u, centre, (), (), "most rounds")
    return _rounds(measured, angles, reproject, start, limits, progress, cancelled)


def _rounds(
    measured: Stack,
    angles_deg: Array,
    reproject: Reprojector,
    start: Alignment,
    limits: _Limits,
    progress: Progress,
    cancelled: Cancelled,
) -> Alignment:
    best, y, u = start, start.y_px, start.u_px
    residuals: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    stopped: Stop = "most rounds"
    for done in range(limits.rounds + 1):
        # Always the data as measured: a projection moved twice would be blurred twice.
        moved = shifted_complete(measured, y, u)
        again = reproject(moved, angles_deg, start.centre_px)
        residuals += (float(np.linalg.norm(moved - again) / max(np.linalg.norm(moved), np.finfo(np.float32).tiny)),)
        if residuals[-1] <= min(residuals):
            best = replace(best, y_px=y, u_px=u)
        if done and residuals[-1] > residuals[-2] * (1 - _LEAST_GAIN * limits.damping):
            stopped = "residual no longer falls"
            break
        if done and steps[-1] < limits.tolerance_px:
            stopped = "converged"
            break
        if done == limits.rounds:
            break
        step_done(done / (limits.rounds + 1), progress, cancelled)
        step_y, step_u = offsets_px(_tapered(again), _tapered(moved), limits.shift_px)
        step_y, step_u = limits.damping * (step_y - step_y.mean()), limits.damping * without_gauge(step_u, angles_deg)
        y, u = limits.within(y + step_y), limits.within(u + step_u)
        steps += (float(np.sqrt(np.mean(step_y**2 + step_u**2))),)
    step_done(1.0, progress, cancelled)
    return replace(best, residuals=residuals, steps_px=steps, stopped=stopped)


def without_gauge(u_px: Array, angles_deg: Array) -> Array:
    """Shifts along u without what an axis and a specimen elsewhere would do: c + X cos(theta) + Z sin(theta)."""
    motions = _free_motions(angles_deg)
    fixed: Array = u_px - motions @ np.linalg.lstsq(motions, u_px, rcond=None)[0]
    return fixed


def _free_motions(angles_deg: Array) -> Array:
    angles = np.deg2rad(angles_deg)
    return np.stack([np.ones(len(angles)), np.cos(angles), np.sin(angles)], axis=1)


def _from_profiles(heights: Array, most_px: float) -> Array:
    """(angle,) shifts along y that bring (angle, y) sums over u onto their mean."""
    # A specimen that goes on beyond the view is a pedestal, which correlates best unmoved: its slopes tell, not its
    # values, which have less noise.
    order = 1 if share_at_borders(heights) > MOST_AT_BORDERS else 0
    profiles = heights[:, :, None].astype(np.float32)
    y, still = np.zeros(len(heights)), np.zeros(len(heights))
    for _ in range(_PROFILE_ROUNDS):
        moved = np.diff(shifted_complete(profiles, y, still), n=order, axis=1)
        step, _ = offsets_px(_tapered(np.broadcast_to(moved.mean(axis=0), moved.shape)), _tapered(moved), most_px)
        y = np.clip(y + step - step.mean(), -most_px, most_px)
    return y


def _from_mass_centres(stack: Stack, angles_deg: Array, most_px: float, centre_px: float | None) -> tuple[Array, float]:
    """((angle,) shifts along u that bring the centres of mass onto one sinusoid, the axis it turns about)."""
    widths = stack.sum(axis=1, dtype=np.float64)
    if share_at_borders(widths) > MOST_AT_BORDERS:
        axis = find_centre_px(stack, angles_deg).value_px if centre_px is None else centre_px
        return np.zeros(len(stack)), axis
    widths = above_background(widths)
    mass = widths.sum(axis=1)
    heavy = mass > 0.1 * np.median(mass)
    if not heavy.any():
        raise ValueError("no projection has mass in view: choose an element with signal")
    centres = widths @ (np.arange(widths.shape[1]) + 0.5) / np.where(heavy, mass, 1.0)
    centres = np.where(heavy, centres, np.median(centres[heavy]))
    axis, *_ = np.linalg.lstsq(_free_motions(angles_deg), centres, rcond=None)[0]
    moves = -without_gauge(centres, angles_deg) + (0.0 if centre_px is None else centre_px - axis)
    return np.clip(moves, -most_px, most_px), float(axis if centre_px is None else centre_px)


def _tapered(stack: Stack) -> Stack:
    windows = []
    for n in stack.shape[1:]:
        rising = np.clip((np.arange(n) + 0.5) / max(_TAPER * n, 1.0), 0.0, 1.0) if n > 1 else np.ones(1)
        ramp = np.sin(np.pi / 2 * rising) ** 2
        windows.append(ramp * ramp[::-1])
    return np.asarray(stack * np.multiply.outer(*windows), dtype=np.float32)
