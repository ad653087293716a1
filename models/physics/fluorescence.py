"""Spectra of a thin specimen from its areal densities: lines, scatter and continuum, seen at right angles to the beam.

Thin means that neither the beam nor the fluorescence is absorbed in the specimen, so that spectra are linear in areal
density. For one or two micrometres of an oxide this holds to a few per cent for lines above 5 keV, and it fails for
light elements; self-absorption is not modelled, and the fit in `models.xrf`, linear too, does not correct for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.physics.templates import (
    G_PER_UG,
    SCATTER_ANGLE_DEG,
    continuum_shape,
    element_templates,
    scatter_templates,
)
from models.physics.xray import scatter_cm2_g
from models.run_schema import XrfDetector


@dataclass(frozen=True)
class Surroundings:
    """What else in the beam scatters, and how much of everything ends in a continuum.

    Attributes:
        substrate: formula of the window that carries the specimen.
        substrate_ug_cm2: of that window and of the air that the detector sees, as one areal density.
        host: formula of the light matter that comes with the elements (oxygen, binder, carbon).
        host_ratio: its mass per mass of the elements asked for.
        continuum_fraction: counts in the continuum (incomplete charge collection, bremsstrahlung) per count in a peak.
    """

    substrate: str = "Si3N4"
    substrate_ug_cm2: float = 300.0
    host: str = "O"
    host_ratio: float = 1.0
    continuum_fraction: float = 0.08


@dataclass(frozen=True)
class SpectrumModel:
    """Expected spectra of ONE detector element, linear in areal density.

    Attributes:
        elements: names in the order of the first axis.
        templates: (element, channel), counts in an element's lines per incident photon and ug/cm^2.
        background: (element, channel), scatter and continuum that come with it, same unit.
        substrate: (channel,), counts per incident photon without any specimen.
    """

    elements: tuple[str, ...]
    templates: NDArray[np.float32]
    background: NDArray[np.float32]
    substrate: NDArray[np.float32]

    def expected_counts(self, areal_density_ug_cm2: ArrayLike, photons: ArrayLike) -> NDArray[np.float32]:
        """Mean counts per channel in one detector element without dead time.

        Args:
            areal_density_ug_cm2: (..., element).
            photons: on the specimen during the dwell, a number or (...).

        Returns:
            (..., channel).

        Raises:
            ValueError: the last axis is not one entry per element.
        """
        areal_density = np.asarray(areal_density_ug_cm2, np.float32)
        if areal_density.shape[-1:] != (len(self.elements),):
            raise ValueError(
                f"areal_density_ug_cm2 has shape {areal_density.shape}: the last axis must be {self.elements}"
            )
        per_photon = areal_density @ (self.templates + self.background) + self.substrate
        return np.asarray(per_photon * np.asarray(photons, np.float32)[..., None], np.float32)


def spectrum_model(
    elements: Sequence[str], detector: XrfDetector, energy_kev: float, surroundings: Surroundings | None = None
) -> SpectrumModel:
    """Build the spectra that a detector sees of a thin specimen.

    Args:
        elements: ``Zn`` takes the innermost excited shell, ``Pt_L`` a given one.
        detector: its response and solid angle.
        energy_kev: of the incident photons.
        surroundings: substrate, host and continuum; defaults to those of a particle on a silicon-nitride window.

    Raises:
        ValueError: an element is unknown or not excited at energy_kev.
    """
    around = surroundings or Surroundings()
    lines = element_templates(elements, detector, energy_kev)
    host = around.host_ratio * _scatter(around.host, detector, energy_kev)
    window = around.substrate_ug_cm2 * _scatter(around.substrate, detector, energy_kev)
    shape = around.continuum_fraction * continuum_shape(detector, energy_kev)
    continuum = (lines + host).sum(axis=1, keepdims=True) * shape
    return SpectrumModel(
        elements=tuple(elements),
        templates=lines.astype(np.float32),
        background=(host + continuum).astype(np.float32),
        substrate=(window + window.sum() * shape).astype(np.float32),
    )


def _scatter(compound: str, detector: XrfDetector, energy_kev: float) -> NDArray[np.float64]:
    """Scatter of a compound, (channel,), per incident photon and ug/cm^2, for a beam polarised towards the detector.

    Scattering along the polarisation vanishes as sin^2 psi; averaged over a small cap of solid angle Omega this is
    Omega/(2 pi), where unpolarised photons at right angles have 1/2.

    Source: Als-Nielsen & McMorrow, Elements of Modern X-ray Physics (2011), ch. 1 (polarisation factor).
    """
    suppression = min(detector.solid_angle_sr / pi, 1.0)
    per_steradian = np.array(scatter_cm2_g(compound, energy_kev, SCATTER_ANGLE_DEG))
    areas = per_steradian * detector.solid_angle_sr * suppression * G_PER_UG
    return np.asarray(areas @ scatter_templates(detector, energy_kev))
