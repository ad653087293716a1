"""The linear estimate of least mean-square error from one coarse map with uneven noise and missing points."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, irfft2, rfft2

from models.superres.coarse import CoarseMap, filled_from_nearest
from models.superres.prior import CANDIDATES, Map, fit_prior
from models.superres.spectra import PriorSpectra, ScanSpectra

_Scalar = TypeVar("_Scalar", bound=np.generic)

_QUIETEST = 0.25  # of the mean noise: less would only slow the solution down, for errors of the prior outweigh it there
_TYPICAL = 0.95  # quantile of the variance; points far beyond it are used, but not to learn from
_FAR = 9.0
_TOLERANCE = 1e-3  # of the residual; below the noise of any map worth enhancing
_MOST_STEPS = 400  # whole maps take 1 to 12, maps with large gaps at high counts up to 200
_NO_SIGNAL = 1e-4  # least signal per noise, so that a map of pure noise or of one value still has a prior


@dataclass(frozen=True)
class LinearEstimate:
    """What the measurement says about a specimen with the fitted prior: mean + P A^T weights.

    Attributes:
        prior: spectra of that prior for unit strength.
        strength: what they are multiplied by.
        signal: (y, x) spectrum of the padded coarse map without noise.
        noise: variance of a coarse point, mean over the map, its worst points set to the 95 % quantile.
        mean: of the coarse map.
        weights: (y, x) over the padded coarse map; 0 where nothing was measured.
    """

    prior: PriorSpectra
    strength: float
    signal: Map
    noise: float
    mean: float
    weights: Map


def estimate(coarse: CoarseMap, spectra: ScanSpectra) -> LinearEstimate:
    """Fit the prior, then solve (A P A^T + noise) weights = values - mean over the measured points.

    Source: Kay, Fundamentals of Statistical Signal Processing I (1993), ch. 12 (LMMSE); preconditioned conjugate
    gradients after Golub and Van Loan, Matrix Computations, ch. 11, with the even-noise solution as preconditioner.
    """
    typical = float(np.quantile(coarse.variance[coarse.measured], _TYPICAL))
    noise = float(np.minimum(coarse.variance[coarse.measured], typical).mean())
    sound = coarse.measured & (coarse.variance <= _FAR * typical)
    mean = float(coarse.values[sound].mean())
    chosen, strength = fit_prior(filled_from_nearest(coarse.values, sound), noise, spectra.candidates, spectra.padded)
    prior = spectra.under(CANDIDATES[chosen])
    strength = max(strength, _NO_SIGNAL * noise / float(prior.coarse.mean()))
    signal = strength * prior.coarse
    weights = _solved(
        signal,
        noise,
        padded(heeded(coarse.variance, noise), spectra),
        padded(coarse.measured, spectra),
        padded(coarse.values - mean, spectra),
    )
    return LinearEstimate(prior, strength, signal, noise, mean, weights)


def heeded(variance: Map, noise: float) -> Map:
    """The variances that the estimate assumes, given their mean."""
    return np.maximum(variance, _QUIETEST * noise)


def fine_map(result: LinearEstimate, spectra: ScanSpectra) -> Map:
    """(scale * y, scale * x), averages over fine pixels."""
    spectrum = on_fine_half(fft2(result.weights), spectra) * (result.strength * result.prior.cross)
    return result.mean + cropped(irfft2(spectrum, spectra.fine), spectra)


def padded(values: NDArray[_Scalar], spectra: ScanSpectra) -> NDArray[_Scalar]:
    """A coarse map with its mirror image around it."""
    widths = [(spectra.pad, full - spectra.pad - n) for n, full in zip(spectra.shape, spectra.padded, strict=True)]
    return np.pad(values, widths, mode="symmetric")


def cropped(fine: Map, spectra: ScanSpectra) -> Map:
    """The part of a padded fine map under the coarse map."""
    rows, columns = (slice(spectra.scale * spectra.pad, spectra.scale * (spectra.pad + n)) for n in spectra.shape)
    return fine[rows, columns]


def on_fine_half(spectrum: NDArray[_Scalar], spectra: ScanSpectra) -> NDArray[_Scalar]:
    """A coarse spectrum repeated over the fine map's frequencies, on rfft2's half-plane."""
    columns = np.arange(spectra.fine[1] // 2 + 1) % spectra.padded[1]
    return np.tile(spectrum[:, columns], (spectra.scale, 1))


def _solved(signal: Map, noise: float, variance: Map, measured: NDArray[np.bool_], values: Map) -> Map:
    """Preconditioned conjugate gradients on the measured points; one step where all noise is alike."""
    shape = values.shape
    half = signal[:, : shape[1] // 2 + 1]

    def covariance_times(w: Map) -> Map:
        return np.where(measured, irfft2(rfft2(w) * half, shape) + variance * w, 0)

    def preconditioned(r: Map) -> Map:
        return np.where(measured, irfft2(rfft2(r) / (half + noise), shape), 0)

    return _conjugate_gradients(covariance_times, preconditioned, np.where(measured, values, 0))


def _conjugate_gradients(operator: Callable[[Map], Map], preconditioner: Callable[[Map], Map], target: Map) -> Map:
    solution = np.zeros_like(target)
    residual, goal = target, _TOLERANCE * np.linalg.norm(target)
    direction = step_from = preconditioner(residual)
    energy = np.vdot(residual, step_from)
    for _ in range(_MOST_STEPS):
        if np.linalg.norm(residual) <= goal:
            break
        image = operator(direction)
        length = energy / np.vdot(direction, image)
        solution = solution + length * direction
        residual = residual - length * image
        step_from = preconditioner(residual)
        energy, previous = np.vdot(residual, step_from), energy
        direction = step_from + energy / previous * direction
    return solution
