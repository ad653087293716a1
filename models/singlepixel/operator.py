"""Patterns as an operator, and the quadratic step of the splitting with it, exact and fast.

The step solves ``(A^T W A / rho + K + g) x = r`` with K = 1 + D^T D, the differences D with edges that reflect, so
that the cosine transform makes K diagonal. The matrix inversion lemma leaves N x N systems: with ``v = (K + g)^-1 r``
and ``(rho + W^1/2 G W^1/2) s = W^1/2 A v`` it is ``x = v - (K + g)^-1 A^T W^1/2 s``, where ``G = A (K + g)^-1 A^T`` is
computed once for all weights, rho and right sides. Patterns are kept as cosine coefficients: one transform and one
back a step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_DIRECT = 6400
"""Patterns; with more of them the step is solved by conjugate gradients, without any N x N matrix."""
_CG_STEPS = 12


def cosine_matrix(n: int, device: torch.device) -> Tensor:
    """(n, n) orthonormal cosine transform of the second kind."""
    index = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(torch.pi / n * (index[None] + 0.5) * index[:, None]) * (2.0 / n) ** 0.5
    matrix[0] *= 0.5**0.5
    result: Tensor = matrix.to(torch.float32).to(device)
    return result


class PatternOperator:
    """N patterns on one device, scaled so that their rows vary by one.

    Args:
        patterns: (N, y, x).
        device: of torch.
    """

    def __init__(self, patterns: NDArray[np.float32], device: str = "cpu") -> None:
        self.device = torch.device(device)
        n, height, width = patterns.shape
        self.shape = (height, width)
        self._rows = cosine_matrix(height, self.device)
        self._columns = cosine_matrix(width, self.device)
        mean = patterns.mean(0, dtype=np.float64) if n > 1 else np.zeros(self.shape)
        centred = sum(float(((one - mean) ** 2).sum()) for one in patterns)
        self.scale = (centred / n) ** 0.5 or 1.0
        coefficients = torch.empty((n, height * width), dtype=torch.float32, device=self.device)
        for begin in range(0, n, 256):
            part = torch.from_numpy(np.ascontiguousarray(patterns[begin : begin + 256])).to(self.device)
            coefficients[begin : begin + 256] = (self.transform(part) / self.scale).flatten(1)
        self._coefficients = coefficients
        wave_y, wave_x = (2 - 2 * np.cos(np.pi * np.arange(side) / side) for side in self.shape)
        stiffness = (1 + wave_y[:, None] + wave_x[None]).astype(np.float32)
        self.stiffness = torch.from_numpy(stiffness).to(self.device).flatten()
        self._grams: dict[float, Tensor] = {}

    @property
    def n_patterns(self) -> int:
        """N."""
        return len(self._coefficients)

    def transform(self, images: Tensor) -> Tensor:
        """Cosine coefficients of (..., y, x)."""
        return self._rows @ images @ self._columns.T

    def back(self, coefficients: Tensor) -> Tensor:
        """Images of cosine coefficients (..., y, x)."""
        return self._rows.T @ coefficients @ self._columns

    def project(self, images: Tensor) -> Tensor:
        """(..., N) signals of (..., y, x) maps."""
        return self.transform(images).flatten(-2) @ self._coefficients.T

    def adjoint(self, signals: Tensor) -> Tensor:
        """(..., y, x) of (..., N)."""
        return self.back((signals @ self._coefficients).reshape(*signals.shape[:-1], *self.shape))

    def gram(self, extra: float = 0.0) -> Tensor:
        """(N, N) of ``A (K + extra)^-1 A^T``, remembered."""
        if extra not in self._grams:
            weighted = self._coefficients / torch.sqrt(self.stiffness + extra)
            self._grams[extra] = weighted @ weighted.T
        return self._grams[extra]

    def plain_gram(self) -> NDArray[np.float64]:
        """(N, N) of ``A A^T``."""
        return np.asarray((self._coefficients @ self._coefficients.T).cpu().double().numpy())

    def quadratic_step(self, weights: Tensor, rho: Tensor, extra: float = 0.0) -> "QuadraticStep":
        """The step for weights (R, N) and rho (R,) of R problems solved side by side."""
        factor = None if self.n_patterns > MOST_DIRECT else self._factor(weights, rho, extra)
        return QuadraticStep(self, weights.sqrt(), rho, self.stiffness + extra, factor)

    def _factor(self, weights: Tensor, rho: Tensor, extra: float) -> Tensor:
        root = weights.sqrt()
        factors = []
        for one, strength in zip(root, rho, strict=True):
            system = (self.gram(extra) * one[:, None] * one[None]).double()
            system.diagonal().add_(float(strength))
            factors.append(torch.linalg.cholesky(system).float())
        return torch.stack(factors)


@dataclass(frozen=True, eq=False)
class QuadraticStep:
    """Solves ``(A^T W A / rho + K + extra) x = r`` for right sides (R, E, y, x)."""

    operator: PatternOperator
    root: Tensor
    """(R, N) of the weights."""
    rho: Tensor
    stiffness: Tensor
    factor: Tensor | None
    """(R, N, N) of Cholesky; None: by conjugate gradients."""

    def __call__(self, right: Tensor, start: Tensor | None = None) -> Tensor:
        """Solve; ``start`` is where conjugate gradients begin."""
        coefficients = self.operator.transform(right).flatten(-2)
        if self.factor is None:
            first = None if start is None else self.operator.transform(start).flatten(-2)
            return self._back(self._by_gradients(coefficients, first))
        free = coefficients / self.stiffness
        signals = free @ self.operator._coefficients.T * self.root[:, None]
        solved = torch.cholesky_solve(signals.transpose(1, 2), self.factor).transpose(1, 2)
        return self._back(free - (solved * self.root[:, None]) @ self.operator._coefficients / self.stiffness)

    def _back(self, coefficients: Tensor) -> Tensor:
        return self.operator.back(coefficients.reshape(*coefficients.shape[:-1], *self.operator.shape))

    def _by_gradients(self, right: Tensor, start: Tensor | None) -> Tensor:
        """Conjugate gradients, preconditioned by K."""
        x = right / self.stiffness if start is None else start
        residual = right - self._apply(x)
        step = residual / self.stiffness
        energy = (residual * step).sum(-1, keepdim=True)
        direction = step
        for _ in range(_CG_STEPS):
            applied = self._apply(direction)
            length = energy / (direction * applied).sum(-1, keepdim=True).clamp_min(1e-30)
            x = x + length * direction
            residual = residual - length * applied
            step = residual / self.stiffness
            before, energy = energy, (residual * step).sum(-1, keepdim=True)
            direction = step + energy / before.clamp_min(1e-30) * direction
        return x

    def _apply(self, coefficients: Tensor) -> Tensor:
        patterns = self.operator._coefficients
        signals = coefficients @ patterns.T * (self.root[:, None] ** 2)
        return signals @ patterns / self.rho[:, None, None] + self.stiffness * coefficients
