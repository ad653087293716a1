"""How well frames are explained, and how far a probe found from them can be trusted."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import poisson

from models.ptychography.fit import Fields, expected_counts
from models.ptychography.frames import Frames, Indices, from_centroid_px, radius_holding_px

WEAK_RAD = 0.045
"""Of `structure_rad`: below, no object tells the probe. Sharp leaves whose phases spread over 0.25 rad have 0.04 and
tell it to 3 % from 1e5 photons, but to 40 % from 1e4, or where the source is large."""
SMOOTH_WEAK_RAD, SMOOTH_SHARE = 0.06, 7e-4
"""Of `structure_rad` and `scattered_share`: below both, an object is too smooth to tell it. The kernel of cathodes made
denser was 54 % wrong at 0.044 rad and 3e-4, 15 to 54 % at 0.051 to 0.057 rad and 4e-4, while halves agreed to 2 %; from
0.063 rad on it was 13 % or less (`paper_experiments/recovered.py` of the benchmarks, seeds 15 to 20). Leaves: 1e-3."""

_LEAST_EXPECTED = 1e-6
_TABLE_TO = 30.0  # counts up to which the deviance's mean is summed, beyond 1 + 1 / (6 mu) is exact to 1e-3
_BRIGHT, _BEYOND = 0.9, 1.3
_BAND = 0.05  # of the transfer function's peak


def deviances(frames: Frames, points: Indices, fields: Fields, device: str = "cpu") -> NDArray[np.float64]:
    """`deviance_of` the frames that these fields expect."""
    return deviance_of(frames, points, expected_counts(frames, points, fields, device))


def deviance_of(frames: Frames, points: Indices, expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """(point,) Poisson deviance of each frame, where the detector sees, over what counting alone would leave: 1 where
    the expected counts (point, n, n) are true.

    Source: McCullagh and Nelder, Generalized Linear Models (1989), section 2.3.
    """
    seen = frames.seen()
    mean = np.maximum(expected[:, seen].astype(np.float64), _LEAST_EXPECTED)
    counts = frames.counts[points][:, seen].astype(np.float64)
    found = 2 * (mean - counts + xlogy(counts, counts / mean))
    return np.asarray(found.sum(1) / poisson_deviance(mean).sum(1))


def poisson_deviance(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean deviance of a count about its expectation: 0 at none, 1.1 at some, 1 at many counts."""
    mu = np.geomspace(_LEAST_EXPECTED, _TABLE_TO, 400)
    n = np.arange(0, int(_TABLE_TO + 10 * np.sqrt(_TABLE_TO)))
    weights = poisson.pmf(n, mu[:, None])
    table = (weights * 2 * (mu[:, None] - n + xlogy(n, n / mu[:, None]))).sum(1)
    return np.where(expected > _TABLE_TO, 1 + 1 / (6 * expected), np.interp(expected, mu, table))


def structure_rad(frames: Frames) -> float:
    """Root mean square of the object's phase structure within the beam, from frames alone, before anything is fitted.

    To first order an object 1 + i p changes a pixel of the far field by 2 Re(i conj(P) (P * p)), whose variance over
    points, summed over pixels, is twice the mean square of p times the sum of the squared mean frame. Absorption counts
    as phase. What varies beyond the counts' own variance is that; frames are brought to one sum first, so that a beam
    that comes and goes does not count.
    """
    counts = frames.counts[:, frames.seen()].astype(np.float64)
    if frames.background is not None:
        counts = counts - frames.background[frames.seen()]
    sums = np.maximum(counts.sum(1, keepdims=True), 1.0)
    scaled = counts * (sums.mean() / sums)
    mean = scaled.mean(0)
    variance = scaled.var(0, ddof=1) - np.maximum(mean, 0) * float((sums.mean() / sums).mean())
    return float(np.sqrt(max(variance.sum(), 0.0) / (2 * np.sum(mean**2))))


def scattered_share(frames: Frames, haze: float = 0.0) -> float:
    """Of all photons, those that sharp structure scatters far beyond the beam's own far field.

    Beyond 1.3 times the radius, about the mean frame's centroid, that holds 90 % of it; without the haze.
    """
    mean = frames.mean_frame(haze) * frames.seen()
    distance_px = from_centroid_px(mean)
    beyond = distance_px > _BEYOND * radius_holding_px(mean, distance_px, _BRIGHT)
    return float(mean[beyond].sum() / mean.sum())


def transfer_difference(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Relative difference of the transfer functions of two kernels (y, x), where either passes 5 % or more.

    Each is taken as it stands, centred: what a shift between them does is part of the difference.
    """
    transfer = [np.fft.fft2(kernel / kernel.sum()) for kernel in (first, second)]
    band = np.maximum(np.abs(transfer[0]), np.abs(transfer[1])) > _BAND
    difference = np.linalg.norm((transfer[0] - transfer[1])[band])
    return float(difference / np.sqrt(np.mean([np.linalg.norm(one[band]) ** 2 for one in transfer])))
