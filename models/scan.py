"""What was asked for: the raster of one projection and the angles of a series."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Motion = Literal["fly", "step"]
AngleOrder = Literal["monotonic", "interleaved", "golden"]


@dataclass(frozen=True)
class FlyScan:
    """The raster of one projection.

    Pixel (row, point) is centred at ``y_um()[row], x_um()[point]``; x, the last axis, is the fast axis. In fly mode the
    stage moves by one step during each dwell, so a sample integrates over the step that is centred on its pixel.
    """

    shape: tuple[int, int]
    """(rows, points): slow axis first. HXN's own ``scan/shape`` is the other way round."""
    step_nm: float
    dwell_s: float
    motion: Motion = "fly"
    snake: bool = False
    centre_um: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the middle of the raster."""

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(f"shape is {self.shape}: pass (rows, points), each at least 1")
        for name in ("step_nm", "dwell_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: pass a positive number")
        if self.motion not in ("fly", "step"):
            raise ValueError(f"motion is {self.motion!r}: pass 'fly' or 'step'")

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

    def y_um(self) -> NDArray[np.float64]:
        """Row centres, shape (rows,)."""
        return self._centres_um(axis=0)

    def x_um(self) -> NDArray[np.float64]:
        """Point centres, shape (points,), in increasing order whatever the direction a row is flown in."""
        return self._centres_um(axis=1)

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
