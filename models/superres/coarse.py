"""A coarse map of one element made ready for estimation: holes marked, noise smoothed and never zero."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, median_filter, uniform_filter

from models.xrf.maps import ElementMaps

OUTLYING = 9.0  # times the median of the variance around: not the specimen's counts, but a measurement that failed
_NOISE_FLOOR = 1e-6  # of the map's mean square: nothing is measured better than to a thousandth


@dataclass(frozen=True)
class CoarseMap:
    """One element of `ElementMaps`.

    Attributes:
        values: (y, x) float64; the nearest measured one where nothing was measured.
        variance: (y, x) of the noise, smoothed over 3x3 points and positive; the mean where nothing was measured.
        measured: (y, x).
    """

    values: NDArray[np.float64]
    variance: NDArray[np.float64]
    measured: NDArray[np.bool_]


def coarse_maps(maps: ElementMaps) -> Iterator[CoarseMap]:
    """Every element of ``maps``; a point counts as measured where the mask says so and value and variance are numbers.

    The variance of a fit follows the counts it was given: taken point by point it would favour what fluctuated low, so
    it is averaged over the 3x3 points around; but a point much noisier than those keeps its own.

    Raises:
        ValueError: an element was measured nowhere.
    """
    for element, values, variance in zip(maps.elements, maps.values, maps.variance, strict=True):
        measured = maps.mask & np.isfinite(values) & np.isfinite(variance)
        if not measured.any():
            raise ValueError(f"{element} was measured at none of {measured.size} points: there is nothing to enhance")
        yield _prepared(values, variance, measured)


def peak_counts(coarse: CoarseMap) -> float:
    """Counts of the brightest points (99.5 % quantile), as mean and variance tell them; never below 1e-3."""
    values, variance = coarse.values[coarse.measured], coarse.variance[coarse.measured]
    counts_per_unit = max(float(values.mean()), 0.0) / float(variance.mean())
    return max(float(np.quantile(values, 0.995)) * counts_per_unit, 1e-3)


def filled_from_nearest(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A map (y, x) in which what is not known takes the value of the nearest point that is."""
    if known.all():
        return values
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def _prepared(values: NDArray[np.float32], variance: NDArray[np.float32], measured: NDArray[np.bool_]) -> CoarseMap:
    known = np.where(measured, values, 0).astype(np.float64)
    noise = np.where(measured, variance, 0).astype(np.float64)
    floor = _NOISE_FLOOR * np.sum(known**2) / measured.sum() + np.finfo(np.float32).tiny
    alike = measured & (noise <= OUTLYING * median_filter(noise, 3, mode="reflect"))
    weight = uniform_filter(alike.astype(np.float64), 3, mode="reflect")
    around = uniform_filter(np.where(alike, noise, 0), 3, mode="reflect") / np.maximum(weight, 1 / 9)
    smooth = np.where(alike, around, noise)
    mean_noise = max(float(noise[measured].mean()), floor)
    return CoarseMap(
        values=filled_from_nearest(known, measured),
        variance=np.where(measured, np.maximum(smooth, floor), mean_noise),
        measured=measured,
    )
