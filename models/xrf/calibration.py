"""Energy calibration and resolution of a real detector from lines that are known to be there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from models.physics.templates import element_templates
from models.run_schema import XrfDetector
from models.xrf.lines import background, default_range_kev, range_channels

FREE = ("energy_offset_kev", "energy_gain_kev", "noise_fwhm_kev", "fano")
# In keV for the offset, relative for the others: beyond it one peak would be taken for another.
_LARGEST_CHANGE = np.array([0.1, 0.05, 0.5, 0.9])


def calibrated(
    detector: XrfDetector,
    spectrum: ArrayLike,
    elements: Sequence[str],
    energy_kev: float,
    continuum_order: int = 6,
    energy_range_kev: tuple[float, float] | None = None,
) -> XrfDetector:
    """Refine offset, gain, noise and Fano factor on one spectrum, best the sum over a map.

    Line areas and continuum are solved for linearly at every step, so that only the four remain to be searched.

    Args:
        detector: a first guess, within 5 % in gain.
        spectrum: (channel,) counts of one detector element.
        elements: whose lines make up the spectrum within the range.
        energy_kev: of the incident photons.
        continuum_order: of the polynomial.
        energy_range_kev: fitted range; None takes what the lines need.

    Raises:
        ValueError: spectrum has not the detector's channels, is empty in the range, or the search did not converge.

    Source: Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973) 413 (variable projection).
    """
    counts = np.asarray(spectrum, np.float64)
    if counts.shape != (detector.n_channels,):
        raise ValueError(f"spectrum has shape {counts.shape}: one spectrum of {detector.n_channels} channels is needed")
    channels = range_channels(detector, energy_range_kev or default_range_kev(elements, energy_kev))
    if not counts[channels].sum() > 0:
        raise ValueError(
            f"spectrum has no counts in channels {channels.start} to {channels.stop}: pass the sum over a map"
        )
    weights = 1 / np.sqrt(np.maximum(counts[channels], 1))
    first = np.array([getattr(detector, name) for name in FREE])
    scale = np.where(np.arange(len(FREE)) == 0, 1.0, first)

    def moved(change: NDArray[np.float64]) -> XrfDetector:
        return replace(detector, **dict(zip(FREE, (first + change * scale).tolist(), strict=True)))

    def residual(change: NDArray[np.float64]) -> NDArray[np.float64]:
        trial = moved(change)
        lines = element_templates(elements, trial, energy_kev)[:, channels].T
        matrix = np.hstack([lines / lines.sum(axis=0), background(trial, energy_kev, continuum_order, channels)])
        weighted = matrix * weights[:, None]
        target = counts[channels] * weights
        return np.asarray(target - weighted @ np.linalg.lstsq(weighted, target, rcond=None)[0])

    found = least_squares(
        residual, np.zeros(len(FREE)), bounds=(-_LARGEST_CHANGE, _LARGEST_CHANGE), x_scale=_LARGEST_CHANGE
    )
    if not found.success or np.any(np.abs(found.x) > 0.99 * _LARGEST_CHANGE):
        raise ValueError(
            f"calibration did not converge: change {found.x.round(4)} of {', '.join(FREE)}: start from a closer guess"
        )
    return moved(found.x)
