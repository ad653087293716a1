"""Whether a fine map explains the measurement it was made from."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import fftconvolve

from models.physics.flyscan import FlyScanOperator, footprint, matched_probe
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.coarse import CoarseMap, coarse_maps
from models.xrf.maps import ElementMaps

Map = NDArray[np.float32]

# Mean of (n - m)^2 / V for counts n of mean m, where V is the mean of max(n, 1) over 3x3 points: a parametric bootstrap
# of 400 000 draws; 1 to 0.5 % from 5 counts on. Below half a count a single one is all there is: no less is expected
# there. `test_expected_square_is_that_of_poisson_counts` draws it again.
_COUNTS = (0.5, 1.0, 2.0, 3.0, 5.0)
_EXPECTED_SQUARE = (0.430, 0.696, 0.924, 0.981, 1.0)
_LEAST_WITHIN = 0.95  # of a point's beam
_NOTHING = 1e-9


def consistency(values: Map, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> Map:
    """Chi^2 per point of the measurement against the re-blurred fine map, averaged over 3x3 measured points.

    The fine map goes through the forward operator of the scan, at the probe's own pixels; beyond its border it is
    continued by its edge. Few counts scatter less than their estimated variance, so chi^2 is divided by what a
    parametric bootstrap of the re-blurred map gives. 1 on average where the fine map is the truth; below 1 where it was
    fitted to the measurement and follows its noise; well above 1 where it shows what the measurement denies. It cannot
    see what the scan cannot: structure finer than step and probe changes no reading.

    Args:
        values: (element, scale * y, scale * x) in ug/cm^2.
        coarse: what was measured.
        probe: that the scan was made with.
        motion: of the scan.
        scale: fine pixels per coarse pixel.

    Returns:
        (element, y, x), NaN where not measured.

    Raises:
        ValueError: values do not cover the coarse map at this scale, or an element was measured nowhere.
    """
    chi_squared = np.full((len(values), *coarse.mask.shape), np.nan, np.float32)
    for index, (element, left, usual) in enumerate(_residuals(values, coarse, probe, motion, scale)):
        expected = _over_neighbours(usual, element.measured)
        chi_squared[index] = _over_neighbours(left**2, element.measured) / np.maximum(expected, 1e-9)
        chi_squared[index][~element.measured] = np.nan
    return chi_squared


def denial(values: Map, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> Map:
    """How surely the measurement denies what the fine map shows under a point, in sigma.

    A grain under a point changes all readings whose beam touches it, each by its share of the probe: residuals are
    added with these shares and their signs, the matched filter for a grain as large as a step. It is far sharper for
    one wrong grain than `consistency`. Positive where there is more than the map shows. A fine map that follows the
    noise stays well below 1. Points whose beam reaches far beyond the field of view, where nobody knows what it met,
    are not judged.

    Args:
        values, coarse, probe, motion, scale: as `consistency` takes them.

    Returns:
        (element, y, x), NaN where not measured or not judged.

    Source: matched filter of a known shape in white noise, Kay (1998), Detection Theory, section 4.3.
    """
    shape = (coarse.mask.shape[0], coarse.mask.shape[1])
    judged = _share_within(probe, shape, coarse.pixel_size_nm, scale, motion)
    kernel = _operator(probe, shape, coarse.pixel_size_nm, scale, motion).kernel
    shares = footprint(kernel, scale).astype(np.float64)
    denied = np.full((len(values), *coarse.mask.shape), np.nan, np.float32)
    for index, (element, left, usual) in enumerate(_residuals(values, coarse, probe, motion, scale)):
        variance = np.maximum(fftconvolve(np.where(element.measured, usual, 0), shares**2, mode="same"), _NOTHING)
        denied[index] = fftconvolve(left, shares, mode="same") / np.sqrt(variance)
        denied[index][~element.measured | (judged < _LEAST_WITHIN)] = np.nan
    return denied


def _residuals(
    values: Map, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int
) -> list[tuple[CoarseMap, NDArray[np.float64], NDArray[np.float64]]]:
    """Of each element: itself, its residual in units of the estimated noise, and the mean square that is usual."""
    shape = (coarse.mask.shape[0], coarse.mask.shape[1])
    operator = _operator(probe, shape, coarse.pixel_size_nm, scale, motion)
    margin = operator.margin_px
    continued = np.pad(np.asarray(values, np.float32), ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    expected = operator.forward(torch.from_numpy(continued)).numpy().astype(np.float64)
    found = []
    for element, reading, counts_per_unit in zip(coarse_maps(coarse), expected, coarse.counts_per_unit, strict=True):
        left = np.where(element.measured, (element.values - reading) / np.sqrt(element.variance), 0)
        found.append((element, left, expected_square(element, reading, float(counts_per_unit))))
    return found


def expected_square(element: CoarseMap, expected: NDArray[np.float64], counts_per_unit: float) -> NDArray[np.float64]:
    """(y, x) mean square of a true map's residual over its estimated variance: below 1 for a few counts only.

    Args:
        element: what was measured; its variance may hold counts under the line.
        expected: (y, x) what the fine map would read.
        counts_per_unit: of the line; more if values and variance say so.
    """
    measured = element.measured
    said = max(float(element.values[measured].mean()), 0.0) / float(element.variance[measured].mean())
    gain = max(counts_per_unit, said)
    own = uniform_filter(np.maximum(gain * element.values, 1.0), 3, mode="reflect")
    under_line = np.maximum(gain**2 * element.variance - own, 0)
    counts = gain * np.maximum(expected, 0) + under_line
    return np.asarray(np.interp(counts, _COUNTS, _EXPECTED_SQUARE))


def _over_neighbours(plane: NDArray[np.float64], measured: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the measured ones of 3x3 points."""
    weight = uniform_filter(measured.astype(np.float64), 3, mode="constant")
    total = uniform_filter(np.where(measured, plane, 0), 3, mode="constant")
    return np.asarray(total / np.maximum(weight, 1e-9))


@lru_cache(maxsize=8)
def _share_within(
    probe: Probe, shape: tuple[int, int], step_nm: float, scale: int, motion: Motion
) -> NDArray[np.float32]:
    """(y, x) share of each point's beam that falls into the field of view."""
    operator = _operator(probe, shape, step_nm, scale, motion)
    field = np.pad(np.ones((scale * shape[0], scale * shape[1]), np.float32), operator.margin_px)
    return np.asarray(operator.forward(torch.from_numpy(field)).numpy(), np.float32)


@lru_cache(maxsize=8)
def _operator(probe: Probe, shape: tuple[int, int], step_nm: float, scale: int, motion: Motion) -> FlyScanOperator:
    matched, binning = matched_probe(probe, step_nm, scale)
    return FlyScanOperator(matched, shape, scale, motion, binning)
