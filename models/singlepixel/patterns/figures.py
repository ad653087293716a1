"""How well a set of patterns tells pixels apart, before any specimen is exposed.

Source: Li et al., PNAS 120 (2023), Materials and Methods (dependence, invertibility); Roy & Vetterli, EUSIPCO 2007
(effective rank).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from models.quality.metrics import ssim
from models.singlepixel.patterns.choice import spread_indices

Array = NDArray[np.float64]

MOST_PATTERNS = 1000
"""Of more patterns so many are looked at, evenly spread: what is asked of all pairs of them takes minutes otherwise."""
LEAST_SIDE_PX = 11
"""Of a field, for the window of SSIM."""
_TARGETS = 256
"""Pixels whose dependence on all others is looked at, evenly spread."""
_LARGEST_DISTANCE_PX = 12


@dataclass(frozen=True)
class PatternFigures:
    """What is told of a set of patterns; all figures of dependence are Pearson correlations.

    Attributes:
        n_patterns: in the set.
        n_used: that the figures are of.
        row_dependence: mean over pairs of patterns, across pixels: the paper's formula.
        row_dependence_abs: the same of absolute values.
        pixel_dependence: mean over pairs of pixels, across patterns: the paper's picture of it.
        pixel_dependence_abs: the same of absolute values.
        dependence_by_distance: of pairs of pixels 1, 2, 3 ... pixels apart, absolute values; the last is of all beyond.
        effective_rank: exponential of the entropy of the normalised singular values, of patterns without their mean.
        invertible_rank: singular values above ``rcond`` of the largest.
        invertibility: SSIM of a known image (grey discs) found by the pseudo-inverse from measurements with noise; from
            -1 to 1, larger is better; NaN of fields with less than ``LEAST_SIDE_PX`` along a side.
        predicted_error: rms error of the best linear reconstruction, relative to the image's spread, of an image of
            independent pixels that vary as much as their mean; 1 where nothing is told.
        rcond: of the pseudo-inverse.
        relative_noise: of a measurement, relative to its mean.
    """

    n_patterns: int
    n_used: int
    row_dependence: float
    row_dependence_abs: float
    pixel_dependence: float
    pixel_dependence_abs: float
    dependence_by_distance: tuple[float, ...]
    effective_rank: float
    invertible_rank: int
    invertibility: float
    predicted_error: float
    rcond: float
    relative_noise: float


def pattern_figures(
    patterns: NDArray[np.floating], *, relative_noise: float, rcond: float = 1e-3, seed: int = 0
) -> PatternFigures:
    """Judge a set of patterns.

    Args:
        patterns: (N, y, x) light, in any unit.
        relative_noise: standard deviation of a measurement, relative to its mean.
        rcond: smallest singular value to be used, relative to the largest.
        seed: of the noise that the invertibility is found with.

    Raises:
        ValueError: patterns are no such stack of numbers, or a number is negative.
    """
    if patterns.ndim != 3 or not patterns.size or not np.isfinite(patterns).all():
        raise ValueError(f"patterns have shape {patterns.shape}: pass (N, y, x) of finite numbers")
    if relative_noise < 0 or rcond < 0:
        raise ValueError(f"relative_noise is {relative_noise}, rcond {rcond}: pass none below 0")
    used = patterns[spread_indices(len(patterns), MOST_PATTERNS)]
    rows = used.reshape(len(used), -1).astype(np.float64)
    noise = relative_noise * float(rows.sum(axis=1).mean())
    varying = rows - rows.mean(axis=0) if len(rows) > 1 else rows
    values = _singular_values(varying)
    signed, absolute = _row_dependence(rows)
    pixels, pixels_absolute, by_distance = _pixel_dependence(varying, used.shape[1:])
    shares = values[values > 0] / values.sum() if values.any() else np.ones(1)
    told = float((values**2 / np.maximum(values**2 + noise**2, np.finfo(float).tiny)).sum())
    return PatternFigures(
        n_patterns=len(patterns),
        n_used=len(used),
        row_dependence=signed,
        row_dependence_abs=absolute,
        pixel_dependence=pixels,
        pixel_dependence_abs=pixels_absolute,
        dependence_by_distance=by_distance,
        effective_rank=float(np.exp(-np.sum(shares * np.log(shares)))),
        invertible_rank=int(np.count_nonzero(values > rcond * values[0])),
        invertibility=_invertibility(rows, used.shape[1:], relative_noise, rcond, np.random.default_rng(seed)),
        predicted_error=float(np.sqrt(max(1 - told / rows.shape[1], 0.0))),
        rcond=rcond,
        relative_noise=relative_noise,
    )


def _singular_values(rows: Array) -> Array:
    """Falling, from the smaller of both Gram matrices."""
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    return np.asarray(np.sqrt(np.maximum(scipy.linalg.eigvalsh(gram)[::-1], 0)))


def _pseudo_inverse(rows: Array, measured: Array, rcond: float) -> Array:
    """The image of least norm that explains measurements best, without singular values below ``rcond``."""
    wide = len(rows) <= rows.shape[1]
    values, vectors = scipy.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    used = values > max(rcond**2, np.finfo(float).eps) * values[-1]
    kept, inverted = vectors[:, used], 1 / values[used]
    if wide:
        return np.asarray(rows.T @ (kept @ (inverted * (kept.T @ measured))))
    return np.asarray(kept @ (inverted * (kept.T @ (rows.T @ measured))))


def _unit(vectors: Array, axis: int) -> Array:
    """Without their mean and of length one along an axis; nought where they do not vary."""
    centred = vectors - vectors.mean(axis=axis, keepdims=True)
    length = np.linalg.norm(centred, axis=axis, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))


def _row_dependence(rows: Array) -> tuple[float, float]:
    if len(rows) < 2:
        return 1.0, 1.0
    unit = _unit(rows, axis=1)
    correlation = unit @ unit.T
    pairs = correlation[np.triu_indices(len(rows), 1)]
    return float(pairs.mean()), float(np.abs(pairs).mean())


def _pixel_dependence(rows: Array, shape: tuple[int, ...]) -> tuple[float, float, tuple[float, ...]]:
    """Of evenly spread pixels on all others: mean, mean of absolute values, and these by distance."""
    if len(rows) < 2 or rows.shape[1] < 2:
        return 1.0, 1.0, ()
    unit = _unit(rows, axis=0)
    targets = spread_indices(rows.shape[1], _TARGETS)
    correlation = unit[:, targets].T @ unit
    y, x = np.unravel_index(np.arange(rows.shape[1]), shape)
    distance = np.rint(np.hypot(y[targets, None] - y, x[targets, None] - x)).astype(int)
    others = distance > 0
    bins = np.minimum(distance[others], _LARGEST_DISTANCE_PX)
    sums = np.bincount(bins, np.abs(correlation[others]), _LARGEST_DISTANCE_PX + 1)
    counts = np.bincount(bins, minlength=_LARGEST_DISTANCE_PX + 1)
    by_distance = tuple((sums[counts > 0] / counts[counts > 0]).tolist())
    return float(correlation[others].mean()), float(np.abs(correlation[others]).mean()), by_distance


def _invertibility(
    rows: Array, shape: tuple[int, ...], relative_noise: float, rcond: float, rng: np.random.Generator
) -> float:
    if min(shape) < LEAST_SIDE_PX:
        return float("nan")
    image = _discs(shape)
    exact = rows @ image.ravel()
    measured = exact + relative_noise * np.abs(exact.mean()) * rng.normal(size=len(exact))
    return ssim(_pseudo_inverse(rows, measured, rcond).reshape(shape), image)


def _discs(shape: tuple[int, ...]) -> Array:
    """Grey discs of several sizes on nothing, over the whole field."""
    y, x = (np.arange(n) / n for n in shape)
    image = np.zeros(shape)
    for middle_y, middle_x, radius, grey in (
        (0.3, 0.28, 0.2, 1.0),
        (0.68, 0.62, 0.25, 0.6),
        (0.25, 0.75, 0.12, 0.8),
        (0.8, 0.2, 0.08, 0.4),
        (0.5, 0.9, 0.05, 1.0),
    ):
        image[np.hypot(y[:, None] - middle_y, x - middle_x) < radius] = grey
    return image
