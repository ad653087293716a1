"""Conjugate gradients for many right sides at once."""

from collections.abc import Callable

import torch
from torch import Tensor

_TOLERANCE = 1e-4  # relative; the next step of the outer iteration starts where this one ended
_MOST_STEPS = 30


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None = None,
    tolerance: float = _TOLERANCE,
    most_steps: int = _MOST_STEPS,
) -> Tensor:
    """Solve a symmetric positive system for every vector along the last axis.

    Args:
        apply: the matrix times (..., N).
        right: (..., N).
        start: of the same shape; None: zero.
        tolerance: of the residual's norm, of the right side's, over all vectors.
        most_steps: at most.

    Source: Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409.
    """
    solution = torch.zeros_like(right) if start is None else start.clone()
    residual = right - apply(solution) if start is not None else right.clone()
    direction, square = residual.clone(), residual.square().sum(-1, keepdim=True)
    enough = tolerance**2 * float(right.square().sum())
    for _ in range(most_steps):
        if float(square.sum()) <= enough:
            break
        image = apply(direction)
        step = square / (direction * image).sum(-1, keepdim=True).clamp_min(1e-30)
        solution += step * direction
        residual -= step * image
        before, square = square, residual.square().sum(-1, keepdim=True)
        direction = residual + square / before.clamp_min(1e-30) * direction
    return solution
