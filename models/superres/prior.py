"""The prior of a fine map, a power-law spectrum, and its fit to the coarse map that was measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Map = NDArray[np.float64]

_SCORING_STEPS = 6
_NOTHING = 1e-12
_LARGEST_STEP = 4.0  # factor by which a step of the fit may change the strength


@dataclass(frozen=True)
class PowerLaw:
    """Power spectrum (f^2 + corner^2)^-exponent of a fine map, up to its strength.

    Sharp edges have the exponent 1.5, projections of solid bodies fall faster, textures more slowly.
    """

    corner_per_nm: float
    exponent: float

    def spectrum(self, squared_frequency: Map) -> Map:
        """At f^2, in 1/nm^2; scaled to 1 at a period of 100 nm, so that strengths of two shapes compare."""
        corner = self.corner_per_nm**2
        return np.asarray(((squared_frequency + corner) / (1e-4 + corner)) ** -self.exponent)


CANDIDATES: tuple[PowerLaw, ...] = tuple(
    PowerLaw(1 / corner_nm, exponent) for corner_nm in (4000.0, 1000.0, 400.0) for exponent in (1.25, 1.5, 1.75, 2.0)
)
"""Any one of them loses 1 to 10 dB on a map that another fits; the choice by likelihood is mostly within 0.1 dB of the
best (specimens and dead leaves of seeds >= 1000, steps of 30 to 120 nm, 50 to 5000 counts)."""


def fit_prior(values: Map, variance: Map, expected: Map, padded: tuple[int, int]) -> tuple[int, float]:
    """The candidate, by index, and its strength under which the coarse map is most likely.

    Args:
        values: coarse map (y, x) without holes: a hole left at any one value would look like texture.
        variance: (y, x) of its noise.
        expected: (candidate, frequency) spectrum of the coarse map for unit strength, over the half-plane of ``padded``
            as rfft2 orders it, flattened.
        padded: grid of that spectrum.

    Source: Whittle likelihood of the sine-tapered periodogram; strengths by Fisher scoring. Percival and Walden,
    Spectral Analysis (1993), ch. 6 and 8.
    """
    taper = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) for n in values.shape))
    taper /= np.sqrt(np.sum(taper**2))
    centred = (values - np.sum(values * taper) / np.sum(taper)) * taper
    periodogram = np.abs(fft.rfft2(centred, padded).ravel()[1:]) ** 2
    noise = float(np.sum(variance * taper**2))
    # A wide smooth probe transfers nothing at all at the highest frequencies.
    signal = np.maximum(expected[:, 1:], _NOTHING * expected.max())
    strength = np.maximum(np.median(periodogram / signal, axis=1), 1e-9 * periodogram.max() / signal.max(axis=1))
    for _ in range(_SCORING_STEPS):
        weight = (signal / (strength[:, None] * signal + noise)) ** 2
        score = np.sum(weight * (periodogram - noise) / signal, axis=1) / np.sum(weight, axis=1)
        strength = np.clip(score, strength / _LARGEST_STEP, strength * _LARGEST_STEP)
    model = strength[:, None] * signal + noise
    best = int(np.argmin(np.sum(np.log(model) + periodogram / model, axis=1)))
    return best, float(strength[best])
