"""The patterns as an operator that solves its penalised normal equations, as often as asked, from one small matrix."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.conjugate import conjugate_gradients
from models.singlepixel.measurement import Array, Patterns

MOST_DIRECT = {"cpu": 8192, "cuda": 32768}
"""Patterns up to which (N, N) is factorised; its inverse takes 13 s on a core at 6400 patterns, and grows as N^3."""
_BLOCK_BYTES = 2**28
_GRAM_ROWS = 256
_OBJECT_PX = 10.0
_FLOAT32_RHO = 0.05  # the largest eigenvalue of G is about 20: condition 400, of 1e7
_MEAN_ROW = 4.0  # norm: about what the strongest mode of speckle has


class PatternOperator:
    """Patterns less their share of the mean pattern, in units in which they have the norm 1, and the mean pattern.

    A pattern is p_i = c_i m + r_i, with r_i orthogonal to the mean pattern m. All m have the specimen's total in them,
    which is known far better than anything else and would take all digits of float32: it becomes one row of its own, of
    the norm 4, and y_i - c_i (m . x) the measurement of r_i / scale. So there are N + 1 rows.

    Rows are seen through K = 1 + D^T D of the differences D. Kept is A K^(-1/2) in the cosine basis, where K is
    diagonal, and G = A K^-1 A^T. By the matrix inversion lemma they solve (A^T W A + rho K) x = r for any W and rho at
    the price of (N, N), so that all penalties, held-out rows and resamplings share them.

    Args:
        patterns: (N, y, x).
        device: of torch.
        direct: factorise (N, N); None: where there are not too many patterns. Otherwise by conjugate gradients.

    Attributes:
        n_rows: N + 1.
        shape: (y, x).
        scale: of the patterns' unit: a centred pattern over it has the rms norm 1.

    Source: Woodbury's identity, Golub and Van Loan, Matrix Computations (2013), section 2.1.4; Neumann differences are
    diagonal in the cosine basis: Strang, SIAM Rev. 41 (1999) 135.
    """

    def __init__(self, patterns: Patterns, device: str = "cpu", direct: bool | None = None) -> None:
        n_patterns, height, width = patterns.shape
        self.n_rows, self.shape = n_patterns + 1, (height, width)
        self.device = torch.device(device)
        mean = patterns.mean(axis=0, dtype=np.float64)
        self._mean_norm = float(np.linalg.norm(mean))
        self._shares = np.array([float(np.vdot(p, mean)) for p in patterns]) / self._mean_norm**2
        self.scale = _rest_norm(patterns, self._shares, self._mean_norm)
        self._cosines = [_cosines(n).to(self.device) for n in self.shape]
        self._root = _root_spectrum(self.shape).to(self.device)
        self._rows = torch.empty(self.n_rows, height * width, device=self.device)
        common = torch.from_numpy(mean.astype(np.float32)).to(self.device)
        self._rows[-1] = (self.to_cosines(common * (_MEAN_ROW / self._mean_norm)) / self._root).flatten()
        for rows in self._blocks():
            shares = torch.from_numpy(self._shares[rows].astype(np.float32)).to(self.device)
            rest = torch.from_numpy(patterns[rows]).to(self.device) - shares[:, None, None] * common
            self._rows[rows] = (self.to_cosines(rest / self.scale) / self._root).flatten(1)
        self.direct = n_patterns <= MOST_DIRECT[self.device.type] if direct is None else direct
        self._gram = _gram(self._rows) if self.direct else None

    def measured(self, counts: Array) -> Tensor:
        """(N, element) what the patterns counted as (N + 1, element) what the rows would have."""
        total = counts.mean(axis=0)  # of m: the c_i have the mean 1 and the r_i the mean 0
        rest = (counts - self._shares[:, None] * total) / self.scale
        rows = np.concatenate([rest, total[None] * (_MEAN_ROW / self._mean_norm)])
        return torch.from_numpy(rows.astype(np.float32)).to(self.device)

    def _blocks(self) -> Iterator[slice]:
        step = max(1, _BLOCK_BYTES // (4 * self.shape[0] * self.shape[1]))
        for start in range(0, self.n_rows - 1, step):
            yield slice(start, min(start + step, self.n_rows - 1))

    def response(self) -> float:
        """Rms of what the patterns add to their mean's count, over that of x, for x with the spectrum of pictures.

        Source: their power falls as the squared frequency, Field, J. Opt. Soc. Am. A 4 (1987) 2379; here down to one
        period of 2 pi 10 pixels.
        """
        n_patterns = max(self.n_rows - 1, 1)
        spread = torch.linalg.vector_norm(self._rows[:n_patterns], dim=0).double().square() / n_patterns
        square = self._root.square().double()
        power = 1 / (square - 1 + _OBJECT_PX**-2)
        seen = (spread * (power * square).flatten()).sum()
        return float((seen / power.mean()).sqrt())

    def mean_response(self) -> float:
        """What the last row has of a map of 1 everywhere."""
        return float(self.forward(torch.ones(self.shape, device=self.device))[-1])

    def to_cosines(self, images: Tensor) -> Tensor:
        """(..., y, x) to its coefficients in the orthonormal cosine basis."""
        return self._cosines[0] @ images @ self._cosines[1].T

    def from_cosines(self, coefficients: Tensor) -> Tensor:
        """The inverse of `to_cosines`."""
        return self._cosines[0].T @ coefficients @ self._cosines[1]

    def forward(self, images: Tensor) -> Tensor:
        """A x: (..., y, x) to (..., N + 1)."""
        return self.rows_times(self.to_cosines(images) * self._root)

    def adjoint(self, values: Tensor) -> Tensor:
        """A^T y: (..., N + 1) to (..., y, x)."""
        return self.from_cosines(self.rows_adjoint(values) * self._root)

    def row_images(self) -> Tensor:
        """(N + 1, y, x) A itself: a copy."""
        return self.from_cosines(self._rows.reshape(-1, *self.shape) * self._root)

    def smoothed(self, images: Tensor) -> Tensor:
        """K^(-1/2) x in the cosine basis."""
        return self.to_cosines(images) / self._root

    def unsmoothed(self, coefficients: Tensor) -> Tensor:
        """K^(-1/2) of coefficients in the cosine basis, as images."""
        return self.from_cosines(coefficients / self._root)

    def rows_times(self, coefficients: Tensor) -> Tensor:
        """A K^(-1/2) times what is in the cosine basis: (..., y, x) to (..., N + 1)."""
        return coefficients.flatten(-2) @ self._rows.T

    def rows_adjoint(self, values: Tensor) -> Tensor:
        """The adjoint of `rows_times`: (..., N + 1) to (..., y, x)."""
        coefficients: Tensor = values @ self._rows
        return coefficients.reshape(*values.shape[:-1], *self.shape)

    def equations(self, weights: Tensor, rho: Tensor) -> "NormalEquations":
        """Of P problems at once.

        Args:
            weights: (P, N + 1) of each pattern's square, W; 0 leaves it out.
            rho: (P,), positive.
        """
        return NormalEquations(self, weights.to(self.device), rho.to(self.device), self._gram)


class NormalEquations:
    """(A^T W A + rho K) x = r for P pairs of W and rho, in the coordinates xi = K^(1/2) x of the cosine basis."""

    def __init__(self, operator: PatternOperator, weights: Tensor, rho: Tensor, gram: Tensor | None) -> None:
        self._operator, self._rho = operator, rho[:, None, None, None]
        self._root = weights.sqrt()
        self._weights = weights
        self._inverse: Tensor | None = None
        self._last: Tensor | None = None
        if gram is not None:
            self._inverse = torch.stack([_inverse(gram, r, float(p)) for r, p in zip(self._root, rho, strict=True)])

    def data(self, values: Tensor) -> Tensor:
        """A^T W y in these coordinates: (N + 1, element) to (P, element, y, x)."""
        return self._operator.rows_adjoint(self._weights[:, None] * values.T)

    def solve(self, right: Tensor) -> Tensor:
        """Xi for a right side K^(-1/2) r, (P, element, y, x) both."""
        seen = self._operator.rows_times(right)
        inner = seen @ self._inverse if self._inverse is not None else self._by_gradients(seen)
        return (right - self._operator.rows_adjoint(inner)) / self._rho

    def _by_gradients(self, seen: Tensor) -> Tensor:
        """The same without (N, N): W^(1/2) (rho + W^(1/2) G W^(1/2))^-1 W^(1/2), from where the last one ended."""
        operator, root, rho = self._operator, self._root[:, None], self._rho[..., 0]

        def apply(values: Tensor) -> Tensor:
            return rho * values + root * operator.rows_times(operator.rows_adjoint(root * values))

        self._last = conjugate_gradients(apply, root * seen, self._last)
        return root * self._last


def _inverse(gram: Tensor, root: Tensor, rho: float) -> Tensor:
    """W^(1/2) (rho + W^(1/2) G W^(1/2))^-1 W^(1/2)."""
    precise = torch.float32 if rho > _FLOAT32_RHO else torch.float64
    matrix = (root[:, None] * gram * root).to(precise)
    matrix.diagonal().add_(rho)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix)).float()
    return root[:, None] * inverse * root


def _gram(rows: Tensor) -> Tensor:
    """All products of two rows, each pair once."""
    gram = rows.new_empty(len(rows), len(rows))
    for start in range(0, len(rows), _GRAM_ROWS):
        part = rows[start:] @ rows[start : start + _GRAM_ROWS].T
        gram[start:, start : start + _GRAM_ROWS] = part
        gram[start : start + _GRAM_ROWS, start:] = part.T
    return gram


def _rest_norm(patterns: Patterns, shares: Array, mean_norm: float) -> float:
    """Rms norm of the patterns without their share of the mean one; of the mean one, where nothing else is in them."""
    squares = np.array([float(np.vdot(p, p)) for p in patterns])
    rest = float(np.mean(squares - (shares * mean_norm) ** 2))
    return float(np.sqrt(rest)) if rest > 1e-6 * float(np.mean(squares)) else mean_norm


def _cosines(n: int) -> Tensor:
    """(n, n) orthonormal DCT-II."""
    k, i = np.mgrid[:n, :n]
    rows: NDArray[np.float64] = np.sqrt(2 / n) * np.cos(np.pi * k * (i + 0.5) / n)
    rows[0] /= np.sqrt(2)
    return torch.from_numpy(rows.astype(np.float32))


def _root_spectrum(shape: tuple[int, int]) -> Tensor:
    """K^(1/2) in the cosine basis."""
    along = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape]
    return torch.from_numpy(np.sqrt(1 + along[0][:, None] + along[1]).astype(np.float32))
