"""What follows from a photon's energy alone."""

HC_KEV_NM = 1.2398420
J_PER_KEV = 1.602176634e-16
"""Exact since the SI of 2019."""


def wavelength_nm(energy_kev: float) -> float:
    """The photon's wavelength."""
    return HC_KEV_NM / energy_kev
