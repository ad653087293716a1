"""How good patterns are, before any specimen is in the beam: how alike they are, how much of an image they measure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RCOND = 1e-3
_TARGETS = 256
"""Pixels whose correlation with all others is looked at; all pairs of them would take the square of the pixels."""
_REACH_PX = 12


@dataclass(frozen=True, eq=False)
class PatternFigures:
    """Figures of a set of patterns.

    Attributes:
        n_patterns: N.
        row_dependence: mean absolute correlation of two patterns over the pixels; 0 is best.
        pixel_dependence: mean absolute correlation of two pixels over the patterns (the paper's delta); 0 is best, and
            chance alone gives 0.8 / sqrt(N).
        dependence_by_distance: of two pixels 0, 1, 2 ... pixels apart.
        effective_rank: exponential of the entropy of the normalised singular values, of at most N.
        invertibility: share of an image's dimensions that are measured better than noise and `rcond` allow.
        rcond: singular values below it, over the largest, count as not measured.
        relative_noise: of a measurement, over its mean, that this is said for.
        predicted_error: root mean square error, over the spread of an image of independent pixels as uneven as it is
            bright, of the best linear reconstruction. Specimens have structure, so that real errors are less; sets of
            patterns are ranked by it all the same.
    """

    n_patterns: int
    row_dependence: float
    pixel_dependence: float
    dependence_by_distance: tuple[float, ...]
    effective_rank: float
    invertibility: float
    rcond: float
    relative_noise: float
    predicted_error: float


def pattern_figures(
    patterns: NDArray[np.floating], *, relative_noise: float, rcond: float = RCOND, seed: int = 0
) -> PatternFigures:
    """Judge patterns (N, y, x) for measurements of a relative noise.

    Args:
        patterns: (N, y, x).
        relative_noise: standard deviation of a measurement over its mean.
        rcond: see `PatternFigures`.
        seed: of the pixels that are looked at.

    Raises:
        ValueError: shape or noise make no sense.

    Source: Li et al., PNAS 120 (2023), Fig. 2 (dependence of pixels); Roy and Vetterli, EUSIPCO (2007) 606 (effective
    rank).
    """
    if patterns.ndim != 3 or not patterns.size:
        raise ValueError(f"patterns have shape {patterns.shape}: pass (N, y, x)")
    if not relative_noise > 0 or not 0 < rcond < 1:
        raise ValueError(f"relative_noise is {relative_noise} and rcond {rcond}: pass one above 0, and one below 1")
    rows = patterns.reshape(len(patterns), -1).astype(np.float32)
    singular = _singular_values(rows)
    level = relative_noise * float(rows.sum(1, dtype=np.float64).mean())
    kept = singular > max(rcond * float(singular[0]), level)
    share = singular / max(float(singular.sum()), 1e-30)
    entropy = -float((share * np.log(np.maximum(share, 1e-30))).sum())
    gained = (singular**2 / (singular**2 + level**2)).sum() / rows.shape[1]
    dependence, by_distance = _pixel_dependence(patterns, seed)
    return PatternFigures(
        len(rows),
        _row_dependence(rows),
        dependence,
        by_distance,
        float(np.exp(entropy)),
        float(kept.sum()) / rows.shape[1],
        rcond,
        relative_noise,
        float(np.sqrt(max(1 - gained, 0.0))),
    )


def _singular_values(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of patterns without their mean, which tells of the total only; the largest first."""
    centred = rows - rows.mean(0) if len(rows) > 1 else rows
    few = centred if len(centred) <= centred.shape[1] else centred.T
    values = np.linalg.eigvalsh((few @ few.T).astype(np.float64))[::-1]
    return np.sqrt(np.maximum(values, 0))


def _row_dependence(rows: NDArray[np.float32]) -> float:
    if len(rows) < 2:
        return 0.0
    unit = _unit(rows, 1)
    alike = np.abs(unit @ unit.T)
    n = len(rows)
    return float((alike.sum() - np.trace(alike)) / (n * (n - 1)))


def _pixel_dependence(patterns: NDArray[np.floating], seed: int) -> tuple[float, tuple[float, ...]]:
    n, height, width = patterns.shape
    if n < 2 or height * width < 2:
        return 0.0, ()
    unit = _unit(patterns.reshape(n, -1).astype(np.float32), 0)
    chosen = np.random.default_rng(seed).permutation(height * width)[:_TARGETS]
    alike = np.abs(unit[:, chosen].T @ unit)
    y, x = np.divmod(np.arange(height * width), width)
    apart = np.rint(np.hypot(y[chosen, None] - y, x[chosen, None] - x)).astype(np.int64)
    near = apart <= _REACH_PX
    sums = np.bincount(apart[near], weights=alike[near])
    counts = np.bincount(apart[near])
    others = alike[apart > 0]
    return float(others.mean()), tuple(float(one) for one in sums / np.maximum(counts, 1))


def _unit(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Of mean zero and length one along an axis."""
    centred = values - values.mean(axis, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=axis, keepdims=True), 1e-30), np.float32)
