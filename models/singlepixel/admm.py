"""Penalised least squares over non-negative maps by alternating directions, many problems of one kind at once."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.differences import differences, differences_adjoint
from models.singlepixel.operator import PatternOperator
from models.singlepixel.priors import Prior

GAP = 0.04
"""lambda / rho: the threshold, in a map's unit; 0.02 to 0.05 end within 0.1 dB of each other, 0.2 loses 1 dB."""
_RELAXATION = 1.6

Told = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Problems:
    """P problems that differ by their weights and penalties only.

    Attributes:
        values: (N, element) measured, over the operator's scale.
        weights: (P, N) of each pattern's squared misfit; 0: left out.
        penalties: (P,) lambda.
    """

    values: Tensor
    weights: Tensor
    penalties: Tensor


def solve(
    operator: PatternOperator,
    problems: Problems,
    prior: Prior,
    *,
    iterations: int,
    start: Tensor | None = None,
    told: Told | None = None,
) -> Tensor:
    """Minimise sum_i w_i |A_i x - y_i|^2 / 2 + lambda prior(x), x >= 0, for every problem.

    Args:
        operator: A.
        problems: to solve.
        prior: of all of them.
        iterations: of alternating directions.
        start: (element, y, x) or (P, element, y, x) to begin at; None: 0.
        told: called with the fraction done.

    Returns:
        (P, element, y, x).

    Source: Boyd et al., Found. Trends Mach. Learn. 3 (2011) 1, eq. 3.2 to 3.4 and section 3.4.3 (over-relaxation).
    """
    equations = operator.equations(problems.weights, problems.penalties / GAP)
    data = equations.data(problems.values)
    rho = (problems.penalties / GAP).to(data.device)[:, None, None, None]
    admitted = data.new_zeros(data.shape) if start is None else start.expand_as(data).clone()
    (split_y, split_x), over = differences(admitted), admitted.new_zeros(admitted.shape)
    over_y, over_x = admitted.new_zeros(admitted.shape), admitted.new_zeros(admitted.shape)
    for step in range(iterations):
        toward = differences_adjoint(split_y - over_y, split_x - over_x).add_(admitted).sub_(over)
        images = operator.unsmoothed(equations.solve(data + rho * operator.smoothed(toward)))
        along_y, along_x = differences(images)
        over_y.add_(along_y, alpha=_RELAXATION).add_(split_y, alpha=1 - _RELAXATION)
        over_x.add_(along_x, alpha=_RELAXATION).add_(split_x, alpha=1 - _RELAXATION)
        over.add_(images, alpha=_RELAXATION).add_(admitted, alpha=1 - _RELAXATION)
        split_y, split_x = prior.shrink(over_y, over_x, GAP)
        admitted = prior.admit(over, GAP)
        over_y.sub_(split_y)
        over_x.sub_(split_x)
        over.sub_(admitted)
        if told is not None:
            told((step + 1) / iterations)
    return admitted
