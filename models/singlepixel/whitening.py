"""Patterns made orthogonal among themselves: Adam then sees every direction that they measure at about one scale."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

_FLOOR = 0.05
"""Added to the Gram matrix, in units of a centred pattern's mean squared norm: what no measurement resolves anyway."""
_PER_NOISE = 100.0
"""Added to it as often as the noise's share of the signals' variance: specimens hold that much less fine detail, which
alone tells alike patterns apart, than they hold in all. Tuned on specimen 0 of the prototype's simulator."""

_LEAST_BEYOND = 0.05  # of the variance of signals: an element that is all noise says no more


@dataclass(frozen=True, eq=False)
class Whitened:
    """Rows W = L^-1 [A - mean(A); mean(A)], with L L^T their Gram matrix and a floor.

    Attributes:
        rows: (N + 1, y x) float32.
        factor: (N + 1, N + 1) L, lower.
        unit: by which centred patterns are divided: the root of their mean squared norm.
        mean_norm: of the mean pattern, by which that is divided.
        shape: (y, x) of a pattern.
    """

    rows: NDArray[np.float32]
    factor: NDArray[np.float64]
    unit: float
    mean_norm: float
    shape: tuple[int, int]

    def signals(self, signals: NDArray[np.floating]) -> NDArray[np.float32]:
        """What the rows are to read, (N + 1, E), from (N, E) signals of the patterns.

        Raises:
            ValueError: there is another number of signals than of patterns.
        """
        if len(signals) != len(self.factor) - 1:
            raise ValueError(f"there are {len(signals)} signals for {len(self.factor) - 1} patterns: pass one for each")
        values = np.asarray(signals, np.float64)
        mean = values.mean(0)
        stacked = np.concatenate([(values - mean) / self.unit, mean[None] / self.mean_norm])
        return np.asarray(scipy.linalg.solve_triangular(self.factor, stacked, lower=True), np.float32)


def noise_shares(signals: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) variance of each measurement's noise over what its signals vary beyond noise, mean of elements, (N, E)."""
    variance = np.asarray(sigma, np.float64) ** 2
    varies = np.asarray(signals, np.float64).var(0)
    beyond = np.maximum(varies - variance.mean(0), _LEAST_BEYOND * varies)
    known = beyond > 0
    return np.asarray((variance[:, known] / beyond[known]).mean(1) if known.any() else np.zeros(len(variance)))


def whiten(patterns: NDArray[np.floating], noise: NDArray[np.float64] | None = None) -> Whitened:
    """Build once, use for every fit of the same patterns; memory: once more the patterns' in float32.

    Args:
        patterns: (N, y, x), finite.
        noise: (N,) of `noise_shares`: a noisy measurement counts less. None: there is none.

    Raises:
        ValueError: the patterns are no stack, hold values that are no numbers, or are dark throughout.

    Source: centring and whitening of A before the loss ||A f - y||^2 of Li et al., PNAS 120 (2023): on raw patterns,
    which share most of their light, Adam moves little but the total.
    """
    if patterns.ndim != 3 or not patterns.size:
        raise ValueError(f"patterns have shape {patterns.shape}: (pattern, y, x) is needed")
    flat = np.asarray(patterns, np.float32).reshape(len(patterns), -1)
    mean = flat.mean(0, dtype=np.float64)
    mean_norm = float(np.linalg.norm(mean))
    if not np.isfinite(mean_norm):
        raise ValueError("patterns hold values that are no numbers: leave those patterns out")
    if mean_norm == 0:
        raise ValueError("the mean pattern is dark: pass patterns with light")
    rows = np.empty((len(flat) + 1, flat.shape[1]), np.float32)
    np.subtract(flat, mean.astype(np.float32), out=rows[:-1])
    spread = float(np.sqrt(np.einsum("np,np->", rows[:-1], rows[:-1], dtype=np.float64) / len(flat)))
    unit = spread if spread > 1e-6 * mean_norm else mean_norm
    rows[:-1] /= unit
    rows[-1] = mean / mean_norm
    gram = (rows @ rows.T).astype(np.float64)
    gram[np.diag_indices_from(gram)] += _FLOOR
    if noise is not None:
        gram[np.diag_indices(len(noise))] += _PER_NOISE * noise
    factor = scipy.linalg.cholesky(gram, lower=True)
    white = scipy.linalg.solve_triangular(factor.astype(np.float32), rows, lower=True, overwrite_b=True)
    return Whitened(white, factor, unit, mean_norm, (patterns.shape[1], patterns.shape[2]))
