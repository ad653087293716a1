"""One standard deviation of a linear estimate: the noise that came through and the structure that did not."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import fft2, irfft2, rfft2
from scipy.ndimage import distance_transform_edt, gaussian_filter, median_filter, zoom

from models.superres.coarse import OUTLYING, CoarseMap
from models.superres.prior import Map
from models.superres.spectra import ScanSpectra
from models.superres.wiener import LinearEstimate, coarse_part, fine_part, heeded, on_fine_half, padded

_LEVELS = 9  # of noise at which the posterior is computed; between them it is interpolated
_ACTIVITY_WIDTH_PX = 1.0  # coarse pixels, Gaussian sigma
_ACTIVITY_FLOOR = 0.05


@dataclass(frozen=True)
class Posterior:
    """What is left to know about a stationary specimen measured with even noise, at some levels of noise.

    Attributes:
        levels: variances of a coarse point, increasing.
        seen: (level, phase) variance in a fine pixel of the noise that the estimate lets through; the phase is the
            pixel's place under its coarse one, flat.
        unseen: (level, phase) variance of the structure that it cannot follow.
        precision: (level,) 1 / variance of a coarse point predicted from all others.
    """

    levels: Map
    seen: Map
    unseen: Map
    precision: Map


def posterior_sigma(result: LinearEstimate, coarse: CoarseMap, spectra: ScanSpectra) -> Map:
    """(scale * y, scale * x) standard deviation of `models.superres.wiener.fine_map`.

    The posterior variance of a stationary specimen, at the noise found around each point, has two parts: noise that the
    estimate lets through and structure that the scan cannot see. A real specimen is not stationary: the second part is
    scaled by how well each point is predicted by its neighbours, so that it grows at edges and shrinks where the map is
    smooth. Missing and outlying points bring in the variance of what had to be predicted.

    Source: Kay (1993), eq. 12.21; leave-one-out residuals from the weights: Rasmussen and Williams, Gaussian Processes
    (2006), eq. 5.12.
    """
    around = median_filter(heeded(coarse.variance, result.noise), 3, mode="reflect")
    posterior = _posterior(result, around)
    position = np.interp(np.log(around), np.log(posterior.levels), np.arange(_LEVELS))
    surprise = coarse_part(result.weights, spectra) ** 2 / _at(posterior.precision, position)
    activity = zoom(_activity(surprise, coarse), spectra.scale, order=1, mode="nearest", grid_mode=True)
    seen, unseen = (_fine(_at(part, position), spectra) for part in (posterior.seen, posterior.unseen))
    variance = seen + unseen * activity
    excess = _excess(result, coarse, around)
    if excess.any():
        variance = variance + _let_through(excess, result, spectra)
    return np.asarray(np.sqrt(variance))


def _posterior(result: LinearEstimate, around: Map) -> Posterior:
    levels = np.geomspace(around.min(), around.max() * (1 + 1e-9), _LEVELS)
    gain = 1 / (result.signal.ravel() + levels[:, None])
    power = result.strength**2 * result.prior.phase_power / gain.shape[1]
    seen = levels[:, None] * (gain**2 @ power)
    total = result.strength * result.prior.fine_variance - gain @ power
    return Posterior(levels, seen, np.maximum(total - seen, 0), gain.mean(axis=1))


def _at(per_level: Map, position: Map) -> Map:
    """Linear interpolation between levels, (y, x) and then what one level has."""
    below = np.minimum(position.astype(int), _LEVELS - 2)
    share = (position - below).reshape(position.shape + (1,) * (per_level.ndim - 1))
    return np.asarray((1 - share) * per_level[below] + share * per_level[below + 1])


def _fine(per_phase: Map, spectra: ScanSpectra) -> Map:
    """(y, x, phase) to (scale * y, scale * x)."""
    (rows, points), scale = spectra.shape, spectra.scale
    blocks = per_phase.reshape(rows, points, scale, scale).transpose(0, 2, 1, 3)
    return blocks.reshape(scale * rows, scale * points)


def _activity(surprise: Map, coarse: CoarseMap) -> Map:
    """(y, x) squared leave-one-out error over its expectation, smoothed over the measured points around."""
    weight = gaussian_filter(coarse.measured.astype(np.float64), _ACTIVITY_WIDTH_PX, mode="reflect")
    smooth = gaussian_filter(np.where(coarse.measured, surprise, 0), _ACTIVITY_WIDTH_PX, mode="reflect")
    known = weight > 1e-3
    return np.where(known, np.maximum(smooth / np.where(known, weight, 1), _ACTIVITY_FLOOR), 1.0)


def _excess(result: LinearEstimate, coarse: CoarseMap, around: Map) -> Map:
    """(y, x) variance that a missing point, or one noisier than those around, adds to what its neighbourhood has.

    A missing point alone is predicted by all its neighbours (leave-one-out); one in a gap at least by the nearest
    measured point, whose distance gives an upper bound. No measured point is worse than a missing one.
    """
    alone = 1 / float(np.mean(1 / (result.signal + result.noise)))
    covariance = irfft2(result.signal[:, : result.signal.shape[1] // 2 + 1], result.signal.shape)
    total = covariance[0, 0] + result.noise
    distance = distance_transform_edt(~coarse.measured)
    lags = np.minimum(np.ceil(distance).astype(int), min(covariance.shape) // 2)
    along = (covariance[lags, 0] + covariance[0, lags]) / 2
    in_gap = np.where(distance > 1, np.maximum(total - along**2 / total, alone), alone)
    noisier = np.where(coarse.variance > OUTLYING * around, coarse.variance - around, 0)
    return np.where(coarse.measured, np.minimum(noisier, alone), in_gap)


def _let_through(excess: Map, result: LinearEstimate, spectra: ScanSpectra) -> Map:
    """Variance in fine pixels, (scale * y, scale * x), of independent variances in coarse points."""
    gain = on_fine_half(1 / (result.signal + result.noise), spectra)
    response = irfft2(result.strength * result.prior.cross * gain, spectra.fine)
    spread = rfft2(response**2) * on_fine_half(fft2(padded(excess, spectra)), spectra)
    return np.maximum(fine_part(irfft2(spread, spectra.fine), spectra), 0)
