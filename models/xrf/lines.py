"""What a spectrum is fitted with: line templates, scatter peaks and a polynomial continuum over a range of channels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from models.physics.templates import element_templates, scatter_templates
from models.physics.xray import channel_energies_kev, emission
from models.run_schema import XrfDetector

MARGIN_KEV = 0.6  # beyond the outermost lines: some four FWHM, enough for the polynomial to find the continuum
STRONG_LINE = 0.01  # of an element's strongest line: weaker ones do not widen the range
LEAST_SHARE = 0.05  # of an element's counts that must lie within the fitted range
REACHES_IN = 1e-4  # of a scatter peak's counts: with less of it within the range, the continuum takes care of it


@dataclass(frozen=True)
class FitBasis:
    """The columns of the linear fit.

    Attributes:
        channels: the fitted range, a slice of a spectrum.
        matrix: (channel in the range, component); first the elements asked for, then their neighbours, scatter peaks,
            continuum. An element's coefficient is the counts in all its lines, those outside the range included.
        counts_per_photon: (element,) counts in the lines of each element asked for, in one detector element, per
            incident photon and ug/cm^2.
    """

    channels: slice
    matrix: NDArray[np.float64]
    counts_per_photon: NDArray[np.float64]


def fit_basis(
    elements: Sequence[str],
    neighbours: Sequence[str],
    detector: XrfDetector,
    energy_kev: float,
    continuum_order: int,
    energy_range_kev: tuple[float, float] | None,
) -> FitBasis:
    """Put together the columns of the fit; see `models.xrf.fit.MapFit` for the arguments.

    Raises:
        ValueError: an element is unknown, not excited or outside the range, or two of them cannot be told apart.
    """
    names = [*elements, *neighbours]
    channels = range_channels(detector, energy_range_kev or default_range_kev(names, energy_kev))
    lines = element_templates(names, detector, energy_kev)
    totals = lines.sum(axis=1)
    shares = lines[:, channels].sum(axis=1) / np.maximum(totals, np.finfo(float).tiny)
    missing = [name for name, share in zip(names, shares, strict=True) if share < LEAST_SHARE]
    if missing:
        raise ValueError(
            f"no lines of {', '.join(missing)} in the fitted range: widen energy_range_kev or leave them out"
        )
    matrix = np.hstack(
        [(lines[:, channels] / totals[:, None]).T, background(detector, energy_kev, continuum_order, channels)]
    )
    rank = np.linalg.matrix_rank(matrix / np.linalg.norm(matrix, axis=0))
    if rank < matrix.shape[1]:
        raise ValueError(
            f"{matrix.shape[1]} components over {matrix.shape[0]} channels, of which {rank} are independent: some of "
            f"{', '.join(names)} cannot be told apart: name each once, or widen energy_range_kev"
        )
    return FitBasis(channels, matrix, totals[: len(elements)])


def background(detector: XrfDetector, energy_kev: float, continuum_order: int, channels: slice) -> NDArray[np.float64]:
    """Scatter peaks that reach into the channels and a Legendre continuum, (channel, component)."""
    scatter = scatter_templates(detector, energy_kev)[:, channels]
    reaching = scatter[scatter.sum(axis=1) > REACHES_IN]
    return np.hstack([reaching.T, legvander(np.linspace(-1, 1, scatter.shape[1]), continuum_order)])


def default_range_kev(elements: Sequence[str], energy_kev: float) -> tuple[float, float]:
    """From below the lowest to above the highest strong line.

    As narrow as the lines allow: scatter peaks have tails that no template fits, and an unweighted fit would try to.
    """
    strong: list[float] = []
    for element in elements:
        lines = emission(element, energy_kev)
        strong.extend(lines.energies_kev[lines.cross_sections_cm2_g >= STRONG_LINE * lines.cross_sections_cm2_g.max()])
    return min(strong) - MARGIN_KEV, max(strong) + MARGIN_KEV


def range_channels(detector: XrfDetector, energy_range_kev: tuple[float, float]) -> slice:
    """The channels within a range of energies.

    Raises:
        ValueError: the detector has none there.
    """
    low_kev, high_kev = energy_range_kev
    energies = channel_energies_kev(detector)
    inside = np.flatnonzero((energies >= low_kev) & (energies <= high_kev))
    if not inside.size:
        raise ValueError(
            f"no channels between {low_kev:.2f} and {high_kev:.2f} keV: "
            f"the detector covers {energies[0]:.2f} to {energies[-1]:.2f} keV"
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)
