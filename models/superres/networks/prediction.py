"""What every network gives."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Fine maps in the unit of the readings.

    Attributes:
        values: (B, 1, s*y, s*x).
        log_scale: of the same shape, logarithm of the Laplace scale of the error; None where a network gives none.
        stages: what stages before the last made, for losses; empty where there are none.
        linear: (B, 1, s*y, s*x) the linear estimate it starts from, without gradient; None where it has none.
    """

    values: Tensor
    log_scale: Tensor | None = None
    stages: tuple[Tensor, ...] = ()
    linear: Tensor | None = None
