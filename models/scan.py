"""What was asked for: the raster of one projection and the angles of a series."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Motion = Literal["fly", "step"]
AngleOrder = Literal["monotonic", "interleaved", "golden"]
ROW_START_STEPS, ROW_PLACE_STEPS = 0.5, 0.3
"""How far a line of unequal lines may lie from its regular place, along and across, in steps: measured as the best of
the patterns that a fly-scan can fly."""


@dataclass(frozen=True)
class FlyScan:
    """The raster of one projection.

    Pixel (row, point) is centred at ``y_um()[row], row_x_um(row)[point]``; x, the last axis, is the fast axis. In fly
    mode the stage moves by one step during each dwell, so a sample integrates over the step that is centred on its
    pixel.
    """

    shape: tuple[int, int]
    """(rows, points): slow axis first. HXN's own ``scan/shape`` is the other way round."""
    step_nm: float
    dwell_s: float
    motion: Motion = "fly"
    snake: bool = False
    centre_um: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the middle of the raster."""
    row_offset_y_um: tuple[float, ...] = ()
    """Of each row from its regular place, which makes the pitch unequal; empty: a regular raster."""
    row_offset_x_um: tuple[float, ...] = ()
    """Of all points of each row, which makes the starts unequal; empty: a regular raster."""

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(f"shape is {self.shape}: pass (rows, points), each at least 1")
        for name in ("step_nm", "dwell_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: pass a positive number")
        if self.motion not in ("fly", "step"):
            raise ValueError(f"motion is {self.motion!r}: pass 'fly' or 'step'")
        for name in ("row_offset_y_um", "row_offset_x_um"):
            offsets = getattr(self, name)
            if offsets and (len(offsets) != self.shape[0] or not all(map(isfinite, offsets))):
                raise ValueError(
                    f"{name} has {len(offsets)} entries: pass one finite number for each of {self.shape[0]} rows"
                )

    @classmethod
    def over(
        cls,
        fov_um: tuple[float, float],
        step_nm: float,
        dwell_s: float,
        motion: Motion = "fly",
        snake: bool = False,
        centre_um: tuple[float, float] = (0.0, 0.0),
    ) -> "FlyScan":
        """The raster that covers a field of view, (y, x) in um, to the nearest whole step."""
        if len(fov_um) != 2 or not all(isfinite(side) and side > 0 for side in fov_um):
            raise ValueError(f"fov_um is {fov_um}: pass (height, width) in um, both positive")
        if not step_nm > 0:
            raise ValueError(f"step_nm is {step_nm}: pass a positive number")
        rows, points = (max(1, round(side * 1e3 / step_nm)) for side in fov_um)
        return cls((rows, points), step_nm, dwell_s, motion, snake, (centre_um[0], centre_um[1]))

    @property
    def n_points(self) -> int:
        """Points in the whole raster."""
        return self.shape[0] * self.shape[1]

    @property
    def fov_um(self) -> tuple[float, float]:
        """(height, width) covered, in um."""
        return self.shape[0] * self.step_nm * 1e-3, self.shape[1] * self.step_nm * 1e-3

    @property
    def is_regular(self) -> bool:
        """Whether rows have equal pitch and equal starts."""
        return not (any(self.row_offset_y_um) or any(self.row_offset_x_um))

    def y_um(self) -> NDArray[np.float64]:
        """Row centres, shape (rows,), with their offsets."""
        centres = self._centres_um(axis=0)
        return centres + np.asarray(self.row_offset_y_um) if self.row_offset_y_um else centres

    def x_um(self) -> NDArray[np.float64]:
        """Point centres of a row without offset, shape (points,), in increasing order whatever the direction flown."""
        return self._centres_um(axis=1)

    def row_x_um(self, row: int) -> NDArray[np.float64]:
        """Point centres of one row, shape (points,), with its offset."""
        return self.x_um() + (self.row_offset_x_um[row] if self.row_offset_x_um else 0.0)

    def with_unequal_lines(self, seed: int) -> "FlyScan":
        """The raster with random starts (+-0.5 step) and places (+-0.3 step) of its rows.

        A regular raster is periodic, and so are the artefacts that ptychography makes of it; rows are all that a
        fly-scan can shift. The seed makes the offsets, which the record carries.

        Source: Thibault et al., Ultramicroscopy 109 (2009) 338 (raster-grid pathology).
        """
        rng = np.random.default_rng(seed)
        step_um = self.step_nm * 1e-3
        starts_um = rng.uniform(-ROW_START_STEPS, ROW_START_STEPS, self.shape[0]) * step_um
        places_um = rng.uniform(-ROW_PLACE_STEPS, ROW_PLACE_STEPS, self.shape[0]) * step_um
        return replace(self, row_offset_y_um=tuple(places_um.tolist()), row_offset_x_um=tuple(starts_um.tolist()))

    def is_reversed(self, row: int) -> bool:
        """Whether a snake scan flies this row from high x to low x."""
        return self.snake and row % 2 == 1

    def _centres_um(self, axis: int) -> NDArray[np.float64]:
        count = self.shape[axis]
        offsets = np.arange(count, dtype=np.float64) - (count - 1) / 2
        return self.centre_um[axis] + offsets * (self.step_nm * 1e-3)


def ordered_angles(n_angles: int, order: AngleOrder) -> list[int]:
    """The order in which angle indices are measured.

    ``interleaved`` visits every eighth angle, then those between (bit-reversed offsets), so that a series cut short
    still covers the whole range; ``golden`` steps through the indices by the golden ratio, each once.

    Source: Kohler, IEEE NSS 2004 (golden-ratio projections); Feng et al., Proc. SPIE 9212 (interleaved).
    """
    if n_angles < 1:
        raise ValueError(f"n_angles is {n_angles}: pass at least 1")
    if order == "monotonic":
        return list(range(n_angles))
    if order == "interleaved":
        offsets = [int(f"{i:03b}"[::-1], 2) for i in range(8)]
        return [index for offset in offsets for index in range(offset, n_angles, 8)]
    if order == "golden":
        golden = (np.sqrt(5.0) - 1) / 2
        return [int(index) for index in np.argsort(np.argsort((np.arange(n_angles) * golden) % 1.0))]
    raise ValueError(f"order is {order!r}: pass 'monotonic', 'interleaved' or 'golden'")
