"""Where the projections stand: the rotation axis, and shifts of a stage that wobbled, from the fitted maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS
from models.tomo.alignment import Alignment, align
from models.tomo.alignment_shift import shifted
from models.tomo.centre import CentreEstimate, find_centre_px
from models.tomo.centre_residual import refine_centre
from models.tomo.interruption import Cancelled, never_cancelled
from models.tomo.reprojector import ByEngine

Stack = NDArray[np.float32]
CentreChoice = float | Literal["auto", "refine"]
SUM = "sum"
_REPROJECTOR = ByEngine(ALGORITHMS["osem"], {"n_iterations": 2})


@dataclass(frozen=True)
class Axis:
    """Where the rotation axis was taken to be, in pixels from the left edge of the grid.

    Attributes:
        centre_px: edge coordinates, in pixels of the maps that are reconstructed.
        sigma_px: one standard deviation; None where the data do not tell it: given, or fixed by the alignment.
        method: how it was found.
        reason: why so.
        truncated: the specimen is not wholly in view.
    """

    centre_px: float
    sigma_px: float | None
    method: str
    reason: str = ""
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Placement:
    """The geometry of the angles that are used.

    Attributes:
        axis: in pixels of the maps that are reconstructed.
        scale: of these pixels in a pixel of the fitted maps.
        alignment: in pixels of the fitted maps; None: the projections stay where they were measured.
    """

    axis: Axis
    scale: int
    alignment: Alignment | None

    @property
    def fitted_centre_px(self) -> float:
        """Of the axis, in pixels of the fitted maps."""
        return self.axis.centre_px / self.scale

    def placed(self, stack: Stack, scale: int) -> Stack:
        """Maps as measured, moved into place once; ``scale`` of their pixels are a pixel of the fitted maps."""
        if self.alignment is None:
            return stack
        return shifted(stack, self.alignment.y_px * scale, self.alignment.u_px * scale)


def place(
    fitted: Mapping[str, Stack],
    angles_deg: NDArray[np.float64],
    scale: int,
    centre: CentreChoice = "auto",
    align_on: str | None = None,
    cancelled: Cancelled = never_cancelled,
) -> Placement:
    """Find axis and shifts from the fitted maps: from what was measured, not from what a prior made of it.

    Args:
        fitted: (angle, y, x) of each element; NaN where not measured.
        angles_deg: one per projection.
        scale: pixels of the maps to reconstruct in a pixel of these.
        centre: of the axis in pixels of the maps to reconstruct; ``auto``: by the centre of mass, or the double wedge
            where the specimen is not wholly in view; ``refine``: then by the least reprojection residual.
        align_on: an element, or ``sum`` of all in ug/cm^2, whose projections tell the shifts; None: no shifts.
        cancelled: asked often; True stops.

    Raises:
        ValueError: the axis cannot be found, or there is no such element.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    given = centre / scale if not isinstance(centre, str) else None
    alignment = None
    if align_on is not None:
        alignment = align(_combined(fitted, align_on), angles_deg, _REPROJECTOR, given, cancelled=cancelled)
    if not isinstance(centre, str):
        return Placement(Axis(centre, None, "given"), scale, alignment)
    if alignment is None:
        estimate = find_centre_px(np.stack(list(fitted.values())), angles_deg)
        sigma_px: float | None = estimate.sigma_px
    else:
        why = f"shifts by joint reprojection on {align_on}, {alignment.stopped}"
        estimate = CentreEstimate(alignment.centre_px, 0.0, "mean place of the aligned projections", why)
        sigma_px = None
    if centre == "refine":
        chosen = align_on or SUM
        moved = Placement(Axis(0.0, None, ""), scale, alignment).placed(_combined(fitted, chosen), 1)
        estimate = refine_centre(moved, angles_deg, _REPROJECTOR, estimate, cancelled=cancelled)
        sigma_px = estimate.sigma_px
    axis = Axis(
        estimate.value_px * scale,
        None if sigma_px is None else sigma_px * scale,
        estimate.method,
        estimate.reason,
        estimate.truncated,
    )
    return Placement(axis, scale, alignment)


def _combined(stacks: Mapping[str, Stack], name: str) -> Stack:
    if name == SUM:
        return np.asarray(np.sum(list(stacks.values()), axis=0), np.float32)
    if name not in stacks:
        raise ValueError(f"align_on is {name!r}: pass sum, or one of {', '.join(stacks)}")
    return stacks[name]
