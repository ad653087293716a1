"""Maps of least coupled total variation that explain the counts, by splitting (ADMM), several problems side by side.

    min_x  1/2 sum_e || W^1/2 (A x_e - y_e) ||^2 + lambda sum_pixels ( w |n . grad x|_2 + |t . grad x|_2 )
           + lambda_s || sum_e mu_e x_e - I ||_1,   x >= 0

|.|_2 is taken over the elements, so that their edges coincide. With a guide, n is the direction of the transmission
picture's gradient and w small at its edges: directional total variation. Without one it is isotropic, per element.

Sources: Ehrhardt and Betcke, SIAM J. Imaging Sci. 9 (2016) 1084, directional total variation; Boyd et al., Found.
Trends Mach. Learn. 3 (2011) 1, the splitting.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.singlepixel.differences import differences, transposed
from models.singlepixel.guide import Guide
from models.singlepixel.operator import PatternOperator, QuadraticStep

_GAP = 0.05
"""Threshold of a step, in units of a map whose maximum is near one: fastest of 0.02, 0.05, 0.2, all of one answer."""
_SUM_STIFFNESS = 1.0


@dataclass(frozen=True, eq=False)
class SumTerm:
    """The transmission picture as a weighted sum of the maps."""

    weights: Tensor
    """(E,) of length one."""
    picture: Tensor
    """(R or 1, y, x)."""
    strength: float
    """lambda_s over lambda."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Counts to be explained, in units in which maps are near one."""

    operator: PatternOperator
    signals: Tensor
    """(E, N), divided by the operator's scale."""
    guide: Guide | None
    sum_term: SumTerm | None = None


def solve(problem: Problem, lam: Tensor, weights: Tensor, n_iterations: int, start: Tensor | None = None) -> Tensor:
    """(R, E, y, x) maps of R problems that differ in lambda (R,) and in the weights (R, N) of measurements.

    Args:
        problem: what they have in common.
        lam: lambda.
        weights: of each squared residual; 0 leaves a measurement out.
        n_iterations: of the splitting.
        start: (R, E, y, x) to begin from, such as the solution of a similar problem.
    """
    operator, n_elements = problem.operator, len(problem.signals)
    rho = lam / _GAP
    rotation, steps = _steps(problem, weights, rho)
    back_projected = operator.adjoint(weights[:, None] * problem.signals[None]) / rho[:, None, None, None]
    shape = (len(lam), n_elements, *operator.shape)
    x = torch.zeros(shape, device=operator.device) if start is None else start.clone()
    gy, gx = differences(x)
    u, dy, dx, du = x.clone(), torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
    total, dt = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
    for _ in range(n_iterations):
        right = back_projected + transposed(gy - dy, gx - dx) + (u - du)
        if problem.sum_term is not None:
            right = right + _SUM_STIFFNESS * _spread(problem.sum_term, total + problem.sum_term.picture - dt)
        x = _solve_rotated(rotation, steps, right, x)
        ay, ax = differences(x)
        ay, ax = ay + dy, ax + dx
        gy, gx = _shrunk(problem.guide, ay, ax)
        dy, dx = ay - gy, ax - gx
        shifted = x + du
        u = shifted.clamp_min(0)
        du = shifted - u
        if problem.sum_term is not None:
            over = _summed(problem.sum_term, x) - problem.sum_term.picture + dt
            total = _soft(over, _GAP * problem.sum_term.strength / _SUM_STIFFNESS)
            dt = over - total
    return u


def _steps(problem: Problem, weights: Tensor, rho: Tensor) -> tuple[Tensor, list[tuple[slice, QuadraticStep]]]:
    """A rotation of the elements in which the sum acts on the last of them alone, and the solver of each part."""
    n_elements = len(problem.signals)
    whole = slice(0, n_elements)
    if problem.sum_term is None:
        return torch.eye(n_elements, device=weights.device), [(whole, problem.operator.quadratic_step(weights, rho))]
    mu = problem.sum_term.weights.double().cpu().numpy()
    _, vectors = np.linalg.eigh(np.outer(mu, mu))
    rotation = torch.from_numpy(vectors).float().to(weights.device)
    summed = problem.operator.quadratic_step(weights, rho, _SUM_STIFFNESS)
    parts: list[tuple[slice, QuadraticStep]] = [(slice(n_elements - 1, n_elements), summed)]
    if n_elements > 1:
        parts.append((slice(0, n_elements - 1), problem.operator.quadratic_step(weights, rho)))
    return rotation, parts


def _solve_rotated(rotation: Tensor, steps: list[tuple[slice, QuadraticStep]], right: Tensor, start: Tensor) -> Tensor:
    turned, begun = (torch.einsum("ej,reab->rjab", rotation, images) for images in (right, start))
    solved = torch.empty_like(turned)
    for part, step in steps:
        solved[:, part] = step(turned[:, part], begun[:, part])
    return torch.einsum("ej,rjab->reab", rotation, solved)


def _shrunk(guide: Guide | None, ay: Tensor, ax: Tensor) -> tuple[Tensor, Tensor]:
    if guide is None:
        factor = _shrinking(torch.sqrt(ay**2 + ax**2), _GAP)
        return factor * ay, factor * ax
    along, across = ay * guide.normal_y + ax * guide.normal_x, ax * guide.normal_y - ay * guide.normal_x
    along = along * _shrinking(_length(along), _GAP * guide.weight)
    across = across * _shrinking(_length(across), _GAP)
    return along * guide.normal_y - across * guide.normal_x, along * guide.normal_x + across * guide.normal_y


def _length(parts: Tensor) -> Tensor:
    return torch.sqrt((parts * parts).sum(1, keepdim=True))


def _shrinking(length: Tensor, threshold: Tensor | float) -> Tensor:
    return (1 - threshold / length.clamp_min(1e-9)).clamp_min(0)


def _soft(values: Tensor, threshold: float) -> Tensor:
    return torch.sign(values) * (values.abs() - threshold).clamp_min(0)


def _summed(term: SumTerm, x: Tensor) -> Tensor:
    return torch.einsum("e,reab->rab", term.weights, x)


def _spread(term: SumTerm, images: Tensor) -> Tensor:
    return term.weights[None, :, None, None] * images[:, None]
