"""The part of a specimen that a scan tells about, and a solution found on it by iteration."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.physics.flyscan import FlyScanOperator

_TAIL = 0.02  # of the kernel's weight, along either axis, may lie beyond the near margin


@dataclass(frozen=True)
class Solution:
    """A fine map found by iteration.

    Attributes:
        values: (scale * y, scale * x), the field of view, in the readings' unit.
        with_margin: ``operator.fine_shape``, the same with what the method took to lie around it.
        iterations: that were made.
        converged: whether the stopping rule was met before the last allowed iteration.
        objective: at the end; each method says what it is.
    """

    values: NDArray[np.float32]
    with_margin: NDArray[np.float32]
    iterations: int
    converged: bool
    objective: float


class SeenField:
    """A scan's operator on the field of view and a near margin; what lies farther continues as at the margin's edge.

    The whole margin of `FlyScanOperator` is as wide as the probe's window. A pixel far out in it weighs next to nothing
    in any reading, yet flux there is not nothing: tied to its nearest near pixel it costs no unknown and keeps the
    problem well posed. Readings remain averages: a constant field reads as that constant.

    Attributes:
        operator: of the scan.
        near_px: fine pixels beyond the field of view, on every side, that are unknowns.
        shape: of the unknowns.
    """

    def __init__(self, operator: FlyScanOperator) -> None:
        self.operator = operator
        self.near_px = _near_margin(operator)
        far = operator.margin_px - self.near_px
        height, width = (side - 2 * far for side in operator.fine_shape)
        self.shape = (height, width)
        self._rows, self._columns = (
            torch.clamp(torch.arange(side) - far, 0, side - 2 * far - 1) for side in operator.fine_shape
        )

    def forward(self, seen: Tensor) -> Tensor:
        """``shape`` to (rows, points)."""
        return self.operator.forward(self.with_margin(seen))

    def adjoint(self, coarse: Tensor) -> Tensor:
        """(rows, points) to ``shape``: <forward(x), y> = <x, adjoint(y)>."""
        whole = self.operator.adjoint(coarse)
        rows = whole.new_zeros(self.shape[0], whole.shape[1]).index_add_(0, self._rows, whole)
        return whole.new_zeros(self.shape).index_add_(1, self._columns, rows)

    def with_margin(self, seen: Tensor) -> Tensor:
        """``shape`` to ``operator.fine_shape``."""
        return seen[self._rows][:, self._columns]

    def solution(self, seen: Tensor, iterations: int, converged: bool, objective: float) -> Solution:
        """The record of a field in the readings' unit."""
        whole = self.with_margin(seen).numpy().astype(np.float32)
        (height, width), margin = whole.shape, self.operator.margin_px
        return Solution(
            whole[margin : height - margin, margin : width - margin], whole, iterations, converged, objective
        )


def _near_margin(operator: FlyScanOperator) -> int:
    kernel, margin = operator.kernel.astype(np.float64), operator.margin_px
    for near in range(margin):
        inner = slice(margin - near, len(kernel) - margin + near)
        if min(kernel[inner].sum(), kernel[:, inner].sum()) >= 1 - _TAIL:
            return near
    return margin
