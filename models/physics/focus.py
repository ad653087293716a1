"""From a lens pupil to the partially coherent wavefield in its focus."""

from collections.abc import Callable
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from models.physics.photon import wavelength_nm
from models.physics.xray import FWHM_PER_SIGMA

_SUBSAMPLES = 8  # per pupil pixel and axis, so that the pupil's edge and stop lie where the optics say, not on the grid
_NEGLIGIBLE_POWER = 1e-7  # of the strongest coherent mode

Pupil = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Transmission at the spatial frequencies (fy, fx), in cycles per nm."""


def check_positive(**lengths: float) -> None:
    """Raise ValueError, by name, for a length that is not a positive number."""
    for name, value in lengths.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}: pass a positive number")


def focus_modes(
    pupil: Pupil,
    cutoff_per_nm: float,
    focus_um: tuple[float, float],
    energy_kev: float,
    source_fwhm_nm: float,
    shape: tuple[int, float],
    n_modes: int,
) -> NDArray[np.complex64]:
    """Orthogonal modes (mode, y, x) of the beam near focus, strongest first, total power 1.

    The focus is the Fourier transform of the pupil; a plane z downstream of it adds the Fresnel phase
    exp(-i pi lambda z f^2), with its own z along y and x for an astigmatic lens.

    Args:
        pupil: transmission of the lens at a spatial frequency.
        cutoff_per_nm: half-width of the square that holds the whole pupil, NA / wavelength.
        focus_um: distance (y, x) of the plane behind the focus of either axis.
        energy_kev: of the photons.
        source_fwhm_nm: FWHM of the demagnified Gaussian source in the focal plane.
        shape: pixels along a side, and their size in nm.
        n_modes: how many to keep.

    Raises:
        ValueError: the grid is too coarse or too small for the beam.

    Source: Goodman, Introduction to Fourier Optics, eqs. 4-20 and 5-14; the modes are those of a Gaussian Schell-model
    source, Starikov and Wolf, J. Opt. Soc. Am. 72 (1982) 923.
    """
    n, pixel_size_nm = shape
    _check_grid(n, pixel_size_nm, cutoff_per_nm, focus_um, energy_kev)
    frequencies = np.fft.fftfreq(n, pixel_size_nm)
    inside = np.abs(frequencies) <= cutoff_per_nm + 1 / (n * pixel_size_nm)
    support = frequencies[inside]
    lens = _sampled_pupil(pupil, support, 1 / (n * pixel_size_nm), focus_um, wavelength_nm(energy_kev))
    sources = _source_modes(support, source_fwhm_nm / FWHM_PER_SIGMA)
    spectra = _strongest(np.array([lens * source for source in sources]), n_modes)
    padded = np.zeros((len(spectra), n, n), np.complex128)
    padded[np.ix_(np.arange(len(spectra)), inside, inside)] = spectra
    modes = np.fft.fftshift(np.fft.ifft2(padded), axes=(-2, -1))
    return np.asarray(modes / np.sqrt(np.sum(np.abs(modes) ** 2)), np.complex64)


def _check_grid(
    n: int, pixel_size_nm: float, cutoff_per_nm: float, focus_um: tuple[float, float], energy_kev: float
) -> None:
    if n < 8 or n % 2:
        raise ValueError(f"n is {n}: pass an even number of pixels, at least 8")
    if 4 * cutoff_per_nm * pixel_size_nm > 1:
        raise ValueError(
            f"pixel_size_nm is {pixel_size_nm:g}: the intensity has a period of {0.5 / cutoff_per_nm:.3g} nm, "
            f"pass at most half of it"
        )
    cone_nm = 2 * max(abs(z) for z in focus_um) * 1e3 * wavelength_nm(energy_kev) * cutoff_per_nm
    if cone_nm > n * pixel_size_nm / 2:
        raise ValueError(
            f"the beam is {cone_nm:.0f} nm wide out of focus in a window of {n * pixel_size_nm:.0f} nm: "
            f"pass a smaller defocus_um or a larger n"
        )


def _sampled_pupil(
    pupil: Pupil, support: NDArray[np.float64], df: float, focus_um: tuple[float, float], wavelength: float
) -> NDArray[np.complex128]:
    """The aberrated pupil averaged over each of its pixels."""
    offsets = ((np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5) * df
    fine = (support[:, None] + offsets).ravel()
    fy, fx = fine[:, None], fine[None, :]
    phase = -np.pi * wavelength * 1e3 * (focus_um[0] * fy**2 + focus_um[1] * fx**2)
    blocks = (pupil(fy, fx) * np.exp(1j * phase)).reshape(len(support), _SUBSAMPLES, len(support), _SUBSAMPLES)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _source_modes(support: NDArray[np.float64], sigma_nm: float) -> list[NDArray[np.float64]]:
    """Factors on the pupil, one per coherent mode of a Gaussian source: shifts of the probe blur its intensity only."""
    coherence = np.exp(-2 * (np.pi * sigma_nm * (support[:, None] - support[None, :])) ** 2)
    powers, vectors = np.linalg.eigh(coherence)
    powers = np.maximum(powers / powers[-1], 0)
    axis = [np.sqrt(power) * vector for power, vector in zip(powers, vectors.T, strict=True) if power > 0]
    return [
        np.outer(along_y, along_x)
        for along_y in axis
        for along_x in axis
        if np.sum(along_y**2) * np.sum(along_x**2) > _NEGLIGIBLE_POWER
    ]


def _strongest(spectra: NDArray[np.complex128], n_modes: int) -> NDArray[np.complex128]:
    """The orthogonal modes of the same mutual intensity, strongest first."""
    flat = spectra.reshape(len(spectra), -1)
    powers, rotation = np.linalg.eigh(flat.conj() @ flat.T)
    strongest = rotation[:, ::-1][:, : min(n_modes, len(powers))]
    return np.asarray((strongest.T @ flat).reshape(-1, *spectra.shape[1:]))
