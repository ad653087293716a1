"""What a detector makes of lines, scatter and continuum: templates over its channels, shared by simulation and fit."""

from collections.abc import Sequence
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from models.physics.xray import (
    channel_energies_kev,
    compton_broadening_kev,
    compton_energy_kev,
    emission,
    peak_sigma_kev,
)
from models.run_schema import XrfDetector

SCATTER_ANGLE_DEG = 90.0
G_PER_UG = 1e-6


def element_templates(elements: Sequence[str], detector: XrfDetector, energy_kev: float) -> NDArray[np.float64]:
    """Counts of each element's lines in one detector element, (element, channel), per incident photon and ug/cm^2.

    Source: Van Grieken & Markowicz, Handbook of X-Ray Spectrometry (2002), fundamental-parameter equation in the limit
    of a thin specimen: cross section of the line times areal density times solid angle over 4 pi.
    """
    accepted = detector.solid_angle_sr / (4 * pi) * G_PER_UG
    spectra = np.zeros((len(elements), detector.n_channels))
    for spectrum, element in zip(spectra, elements, strict=True):
        lines = emission(element, energy_kev)
        sigma = peak_sigma_kev(detector, lines.energies_kev)
        spectrum += accepted * lines.cross_sections_cm2_g @ peaks(detector, lines.energies_kev, sigma)
    return spectra


def scatter_templates(detector: XrfDetector, energy_kev: float) -> NDArray[np.float64]:
    """Elastic and Compton peak, (2, channel), each of unit area."""
    compton = compton_energy_kev(energy_kev, SCATTER_ANGLE_DEG)
    centres = np.array([energy_kev, compton])
    doppler = np.array([0.0, compton_broadening_kev(energy_kev, SCATTER_ANGLE_DEG)])
    return peaks(detector, centres, np.hypot(peak_sigma_kev(detector, centres), doppler))


def peaks(
    detector: XrfDetector, energies_kev: NDArray[np.float64], sigma_kev: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gaussian peaks of unit area, each integrated over every channel: (peak, channel)."""
    half = detector.energy_gain_kev / 2
    edges = np.append(channel_energies_kev(detector) - half, channel_energies_kev(detector)[-1] + half)
    return np.asarray(np.diff(ndtr((edges - energies_kev[:, None]) / sigma_kev[:, None]), axis=1))


def continuum_shape(detector: XrfDetector, energy_kev: float) -> NDArray[np.float64]:
    """A smooth continuum of unit area below the incident energy, (channel,).

    Phenomenological: it falls to zero at the incident energy, is cut off by absorption below 1 keV, and stands on a
    small constant. No polynomial, so that the fit's continuum has to approximate it as it must a measured one.
    """
    energies = np.maximum(channel_energies_kev(detector), 1e-6)
    shape = np.exp(-1 / energies) * (np.maximum(1 - energies / energy_kev, 0) * np.exp(-energies / energy_kev) + 0.05)
    shape[energies > energy_kev] = 0
    return np.asarray(shape / max(float(shape.sum()), np.finfo(float).tiny))
