"""X-ray lines, cross sections and scatter energies of the elements, from xraylib, and the detector's resolution.

Source: Schoonjans et al., Spectrochim. Acta B 66 (2011) 776 (xraylib); photoionisation after Kissel, with full cascade.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sqrt

import numpy as np
import xraylib
from numpy.typing import NDArray

from models.run_schema import XrfDetector

FWHM_PER_SIGMA = sqrt(8 * np.log(2))
# Of light atoms (C, N, O) in units of alpha * m * c, rounded: Biggs et al., At. Data Nucl. Data Tables 16 (1975) 201.
COMPTON_PROFILE_FWHM_AU = 1.6
FINE_STRUCTURE = 1 / 137.036

SOFTEST_SEEN_KEV = 2.0
"""Of softer lines some centimetres of air and a detector's window leave little."""

_SUBSHELLS = {"K": ("K",), "L": ("L1", "L2", "L3"), "L1": ("L1",), "L2": ("L2",), "L3": ("L3",)}
# One electron's transition: no averages such as KA_LINE, no Coster-Kronig L1L3.
_LINE_MACRO = re.compile(r"(K|L[123](?!L))[L-Q]\d_LINE")
_NEGLIGIBLE = 1e-5  # of a shell's strongest line


@dataclass(frozen=True)
class Emission:
    """The fluorescence lines of one shell of one element at one incident energy.

    Attributes:
        label: as asked for, ``Zn`` or ``Pt_L``.
        shell: ``K``, ``L`` or one subshell, ``L3``.
        energies_kev: (line,) increasing.
        cross_sections_cm2_g: (line,) photons of the line per photon and g/cm^2, over all directions: photoionisation,
            yield, branching and cascade together.
    """

    label: str
    atomic_number: int
    shell: str
    energies_kev: NDArray[np.float64]
    cross_sections_cm2_g: NDArray[np.float64]


@lru_cache(maxsize=1024)
def emission(label: str, energy_kev: float) -> Emission:
    """Look up what an element emits; without a shell in its label, from the innermost of K and L that is excited.

    Args:
        label: ``Zn``, or with a shell ``Pt_L``, or with a subshell ``La_L3``.
        energy_kev: of the incident photons.

    Raises:
        ValueError: no such element or shell, or energy_kev is below the shell's edge; the message says what is allowed.
    """
    symbol, _, shell = label.partition("_")
    number = _atomic_number(symbol)
    if not shell:
        shell = "K" if energy_kev > edge_kev(number, "K") else "L"
    if shell not in _SUBSHELLS:
        raise ValueError(
            f"{label!r} asks for shell {shell!r}: pass one of {', '.join(_SUBSHELLS)}, for example {symbol}_K"
        )
    lines = _lines(number, shell, energy_kev)
    if not lines:
        edge = edge_kev(number, shell)
        raise ValueError(f"{symbol}_{shell} is not excited at {energy_kev:g} keV: it needs more than {edge:.4g} keV")
    energies, sections = (np.array(column) for column in zip(*sorted(lines), strict=True))
    energies.flags.writeable = sections.flags.writeable = False  # shared by every caller through the cache
    return Emission(label, number, shell, energies, sections)


def is_seen(label: str, energy_kev: float) -> bool:
    """Whether an element's fluorescence reaches a detector: it is excited, and its strongest line is not too soft.

    Raises:
        ValueError: there is no such element.
    """
    _atomic_number(label.partition("_")[0])
    try:
        lines = emission(label, energy_kev)
    except ValueError:
        return False
    return bool(lines.energies_kev[np.argmax(lines.cross_sections_cm2_g)] > SOFTEST_SEEN_KEV)


def attenuation_cm2_g(element: str, energy_kev: float) -> float:
    """Of a beam by photoabsorption and scatter, mu / rho."""
    return float(xraylib.CS_Total(_atomic_number(element), energy_kev))


def edge_kev(atomic_number: int, shell: str) -> float:
    """The lowest absorption edge of a shell."""
    return min(
        float(xraylib.EdgeEnergy(atomic_number, getattr(xraylib, f"{part}_SHELL"))) for part in _SUBSHELLS[shell]
    )


def compton_energy_kev(energy_kev: float, angle_deg: float) -> float:
    """Energy after Compton scattering by a free electron at rest.

    Source: Compton, Phys. Rev. 21 (1923) 483, E' = E / (1 + E/mc^2 (1 - cos theta)).
    """
    return float(xraylib.ComptonEnergy(energy_kev, radians(angle_deg)))


def compton_broadening_kev(energy_kev: float, angle_deg: float) -> float:
    """Standard deviation of the Compton peak from the motion of bound electrons, before the detector's resolution.

    Source: Cooper, Rep. Prog. Phys. 48 (1985) 415, dE' = (E'/E) * |k - k'| * p_z / (m c).
    """
    scattered = compton_energy_kev(energy_kev, angle_deg)
    transfer = sqrt(energy_kev**2 + scattered**2 - 2 * energy_kev * scattered * cos(radians(angle_deg)))
    return scattered / energy_kev * transfer * COMPTON_PROFILE_FWHM_AU * FINE_STRUCTURE / FWHM_PER_SIGMA


def scatter_cm2_g(compound: str, energy_kev: float, angle_deg: float) -> tuple[float, float]:
    """Elastic and Compton cross section per steradian of a compound for unpolarised photons, cm^2/g/sr."""
    angle = radians(angle_deg)
    return (
        float(xraylib.DCS_Rayl_CP(compound, energy_kev, angle)),
        float(xraylib.DCS_Compt_CP(compound, energy_kev, angle)),
    )


def channel_energies_kev(detector: XrfDetector) -> NDArray[np.float64]:
    """Energy at the centre of each channel."""
    return detector.energy_offset_kev + detector.energy_gain_kev * np.arange(detector.n_channels, dtype=np.float64)


def peak_sigma_kev(detector: XrfDetector, energies_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the detector's Gaussian response: electronic noise and Fano statistics of the charge."""
    noise = detector.noise_fwhm_kev / FWHM_PER_SIGMA
    return np.asarray(np.sqrt(noise**2 + detector.fano * detector.pair_energy_kev * np.maximum(energies_kev, 0)))


def _atomic_number(symbol: str) -> int:
    try:
        return int(xraylib.SymbolToAtomicNumber(symbol))
    except ValueError as error:
        raise ValueError(f"no element {symbol!r}: pass a symbol such as 'Zn', or 'Pt_L' for a shell of it") from error


def _lines(number: int, shell: str, energy_kev: float) -> list[tuple[float, float]]:
    found = []
    for macro in _macros(shell):
        try:
            line = (
                float(xraylib.LineEnergy(number, macro)),
                float(xraylib.CS_FluorLine_Kissel(number, macro, energy_kev)),
            )
        except ValueError:  # xraylib's way to say that this atom has no such line, or that it is not excited
            continue
        found.append(line)
    strongest = max((section for _, section in found), default=0.0)
    return [(energy, section) for energy, section in found if section > _NEGLIGIBLE * strongest]


@lru_cache(maxsize=8)
def _macros(shell: str) -> tuple[int, ...]:
    matches = (_LINE_MACRO.fullmatch(name) for name in dir(xraylib))
    return tuple(getattr(xraylib, match[0]) for match in matches if match and match[1] in _SUBSHELLS[shell])
