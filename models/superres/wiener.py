"""The linear estimate of least mean-square error from one coarse map with uneven noise and missing points."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, irfft2, rfft2

from models.superres.coarse import CoarseMap, filled_from_nearest
from models.superres.prior import CANDIDATES, Map, PowerLaw, fit_prior
from models.superres.spectra import PriorSpectra, ScanSpectra

_Scalar = TypeVar("_Scalar", bound=np.generic)

_QUIETEST = 0.25  # of the mean noise: less would only slow the solution down, for errors of the prior outweigh it there
_TYPICAL = 0.95  # quantile of the variance; points far beyond it are used, but not to learn from
_FAR = 9.0
_TOLERANCE = 1e-5  # of the residual, in units of the noise
_MOST_STEPS = 200
_NO_SIGNAL = 1e-4  # least signal per noise, so that a map of pure noise or of one value still has a prior


@dataclass(frozen=True)
class LinearEstimate:
    """What the measurement says about a specimen with the fitted prior: mean + P A^T weights.

    Attributes:
        law: of that prior.
        prior: its spectra for unit strength.
        strength: what they are multiplied by.
        signal: (y, x) spectrum of the padded coarse map without noise.
        noise: variance of a coarse point, mean over the map, its worst points set to the 95 % quantile.
        mean: of the coarse map.
        weights: (y, x) over the padded coarse map; they vanish where nothing was measured.
    """

    law: PowerLaw
    prior: PriorSpectra
    strength: float
    signal: Map
    noise: float
    mean: float
    weights: Map


def estimate(coarse: CoarseMap, spectra: ScanSpectra) -> LinearEstimate:
    """Fit the prior, then solve (A P A^T + noise) weights = values - mean over the measured points.

    The prior is fitted to the map with its holes filled, from the nearest points first and then, once, by what the
    estimate itself predicts there.

    Source: Kay, Fundamentals of Statistical Signal Processing I (1993), ch. 12 (LMMSE); conjugate gradients, split
    preconditioned by the even-noise solution, after Golub and Van Loan, Matrix Computations, ch. 11.
    """
    typical = float(np.quantile(coarse.variance[coarse.measured], _TYPICAL))
    sound = coarse.measured & (coarse.variance <= _FAR * typical)
    limited = replace(coarse, variance=np.where(sound, coarse.variance, np.minimum(coarse.variance, typical)))
    result = _estimate_with(coarse, replace(limited, values=filled_from_nearest(coarse.values, sound)), spectra)
    if sound.all():
        return result
    filled = np.where(sound, coarse.values, result.mean + _coarse_map(result, spectra))
    return _estimate_with(coarse, replace(limited, values=filled), spectra)


def _estimate_with(coarse: CoarseMap, whole: CoarseMap, spectra: ScanSpectra) -> LinearEstimate:
    """The estimate from ``coarse`` under the prior of ``whole``, the same map without holes and outliers."""
    noise = float(whole.variance[coarse.measured].mean())
    mean = float(whole.values[coarse.measured].mean())
    chosen, strength = fit_prior(whole.values, whole.variance, spectra.candidates, spectra.padded)
    law = CANDIDATES[chosen]
    prior = spectra.under(law)
    strength = max(strength, _NO_SIGNAL * noise / float(prior.coarse.mean()))
    signal = strength * prior.coarse
    weights = _solved(
        signal,
        noise,
        padded(heeded(coarse.variance, noise), spectra),
        padded(coarse.measured, spectra),
        padded(coarse.values - mean, spectra),
    )
    return LinearEstimate(law, prior, strength, signal, noise, mean, weights)


def _coarse_map(result: LinearEstimate, spectra: ScanSpectra) -> Map:
    """(y, x) what the scan would read of the estimate, less the mean."""
    half = result.signal[:, : spectra.padded[1] // 2 + 1]
    return coarse_part(irfft2(rfft2(result.weights) * half, spectra.padded), spectra)


def heeded(variance: Map, noise: float) -> Map:
    """The variances that the estimate assumes, given their mean."""
    return np.maximum(variance, _QUIETEST * noise)


def fine_map(result: LinearEstimate, spectra: ScanSpectra) -> Map:
    """(scale * y, scale * x), averages over fine pixels."""
    spectrum = on_fine_half(fft2(result.weights), spectra) * (result.strength * result.prior.cross)
    return result.mean + fine_part(irfft2(spectrum, spectra.fine), spectra)


def padded(values: NDArray[_Scalar], spectra: ScanSpectra) -> NDArray[_Scalar]:
    """A coarse map with its mirror image around it."""
    widths = [(spectra.pad, full - spectra.pad - n) for n, full in zip(spectra.shape, spectra.padded, strict=True)]
    return np.pad(values, widths, mode="symmetric")


def coarse_part(values: Map, spectra: ScanSpectra) -> Map:
    """A padded coarse map without its padding."""
    rows, points = (slice(spectra.pad, spectra.pad + n) for n in spectra.shape)
    return values[rows, points]


def fine_part(fine: Map, spectra: ScanSpectra) -> Map:
    """A padded fine map without its padding."""
    rows, columns = (slice(spectra.scale * spectra.pad, spectra.scale * (spectra.pad + n)) for n in spectra.shape)
    return fine[rows, columns]


def on_fine_half(spectrum: NDArray[_Scalar], spectra: ScanSpectra) -> NDArray[_Scalar]:
    """A coarse spectrum repeated over the fine map's frequencies, on rfft2's half-plane."""
    columns = np.arange(spectra.fine[1] // 2 + 1) % spectra.padded[1]
    return np.tile(spectrum[:, columns], (spectra.scale, 1))


def _solved(signal: Map, noise: float, variance: Map, measured: NDArray[np.bool_], values: Map) -> Map:
    """Weights for uneven noise and missing points: what even noise would give, corrected by conjugate gradients.

    With T^2 = S / (1 + S / noise), S the signal's spectrum and W = 1 / variance, 0 where nothing was measured, the
    symmetric system (1 + T (W - 1 / noise) T) z = T W values has eigenvalues between 0 and _QUIETEST^-1, all 1 for even
    noise without holes. Its solution makes the signal T z and the weights T / S z.
    """
    shape = values.shape
    spectrum = signal[:, : shape[1] // 2 + 1]
    root = np.sqrt(spectrum / (1 + spectrum / noise))
    trust = np.where(measured, 1 / variance, 0)

    def filtered(z: Map) -> Map:
        return np.asarray(irfft2(rfft2(z) * root, shape))

    z = _conjugate_gradients(lambda z: z + filtered((trust - 1 / noise) * filtered(z)), filtered(trust * values))
    whitening = np.divide(root, spectrum, out=np.zeros_like(root), where=spectrum > 0)
    return np.asarray(irfft2(rfft2(z) * whitening, shape))


def _conjugate_gradients(operator: Callable[[Map], Map], target: Map) -> Map:
    solution = np.zeros_like(target)
    residual = direction = target
    energy = np.vdot(residual, residual)
    goal = _TOLERANCE**2 * energy
    for _ in range(_MOST_STEPS):
        if energy <= goal:
            break
        image = operator(direction)
        length = energy / np.vdot(direction, image)
        solution = solution + length * direction
        residual = residual - length * image
        energy, previous = np.vdot(residual, residual), energy
        direction = residual + energy / previous * direction
    return solution
