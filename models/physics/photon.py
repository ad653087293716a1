"""What follows from a photon's energy."""

HC_KEV_NM = 1.2398420
J_PER_KEV = 1.602176634e-16
"""Exact since the SI of 2019."""


def wavelength_nm(energy_kev: float) -> float:
    """The photon's wavelength."""
    return HC_KEV_NM / energy_kev


def far_field_pixel_nm(energy_kev: float, distance_m: float, n: int, detector_pixel_um: float) -> float:
    """Pixel of the object's plane that the far field on n detector pixels belongs to, by a discrete Fourier transform:
    wavelength * distance / (n * detector's pixel)."""
    return wavelength_nm(energy_kev) * distance_m * 1e9 / (n * detector_pixel_um * 1e3)
