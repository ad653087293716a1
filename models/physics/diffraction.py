"""Far-field diffraction of a nanoprobe behind a thin specimen."""

from collections.abc import Sequence
from functools import lru_cache
from math import pi

import numpy as np
import scipy.fft
import xraylib
from numpy.typing import NDArray

from models.physics.photon import wavelength_nm
from models.physics.probe import Probe
from models.physics.xray import attenuation_cm2_g

CLASSICAL_ELECTRON_RADIUS_CM = 2.8179403e-13
AVOGADRO_PER_MOL = 6.02214076e23
CM_PER_NM = 1e-7
G_PER_UG = 1e-6

_PLACES_ALONG_STEP = 6
"""Gauss-Legendre, at which a fly-scan's exposure is summed: twice as many as recovery from it takes."""
_SHIFT_DECIMALS = 6  # of a pixel: equal shifts are found equal whatever they were rounded from


def transmission(
    areal_density_ug_cm2: NDArray[np.floating], elements: Sequence[str], energy_kev: float
) -> NDArray[np.complex64]:
    """What a thin specimen does to a wave: exp(-mu/2 - i phi), (y, x).

    Args:
        areal_density_ug_cm2: (element, y, x).
        elements: symbols in the order of the first axis.
        energy_kev: of the photons.

    Source: Als-Nielsen & McMorrow, Elements of Modern X-ray Physics (2011), ch. 3: a column of N atoms/cm^2 advances
    the phase by r_e lambda (Z + f') N.
    """
    wavelength_cm = wavelength_nm(energy_kev) * CM_PER_NM
    exponents = []
    for element in elements:
        number = xraylib.SymbolToAtomicNumber(element)
        atoms_per_ug = G_PER_UG * AVOGADRO_PER_MOL / xraylib.AtomicWeight(number)
        electrons = number + xraylib.Fi(number, energy_kev)
        phase = CLASSICAL_ELECTRON_RADIUS_CM * wavelength_cm * electrons * atoms_per_ug
        absorption = attenuation_cm2_g(element, energy_kev) * G_PER_UG
        exponents.append(-absorption / 2 - 1j * phase)
    wave = np.exp(np.tensordot(np.array(exponents), areal_density_ug_cm2, axes=1))
    return np.asarray(wave, np.complex64)


class FarField:
    """Diffraction of each point of a raster, as photons per incident photon.

    A pixel of the frame is 1 / (side of the probe's window) wide in reciprocal space; the direct beam lies on pixel
    (frame_shape // 2). The frame is cut out of the pattern on the probe's whole window, so probe and object are finer
    here than any reconstruction from the frames can make them. Light is summed incoherently over the probe's modes and
    over places along the way that the probe moves during an exposure. Every place is met exactly: by whole pixels of
    the specimen and, for what is left of them, a Fourier shift of the probe.
    """

    def __init__(
        self,
        probe: Probe,
        wave: NDArray[np.complex64],
        places_px: NDArray[np.float64],
        travel_px: float,
        frame_shape: tuple[int, int],
    ) -> None:
        """Take a specimen and where it is exposed.

        Args:
            probe: its pixels are those of ``wave``.
            wave: transmission of the specimen (y, x), half the probe's window and the travel beyond every place.
            places_px: (y and x, row, point), pixels of ``wave`` on which the probe's centre lies mid-exposure.
            travel_px: way along x during an exposure; 0 in a step scan.
            frame_shape: (qy, qx).

        Raises:
            ValueError: frame_shape is larger than the probe's window, which holds no such angles; or the probe reaches
                beyond the wave.
        """
        side = probe.modes.shape[-1]
        if max(frame_shape) > side:
            raise ValueError(f"frame_shape is {frame_shape}: the probe's window of {side} pixels allows no more")
        _check_reach(wave.shape, places_px, travel_px, side)
        self._wave = wave
        self._side = side
        self._places_px = places_px
        self._crop = tuple(slice((side - n) // 2, (side - n) // 2 + n) for n in frame_shape)
        nodes, weights = np.polynomial.legendre.leggauss(_PLACES_ALONG_STEP if travel_px else 1)
        self._along_px = nodes / 2 * travel_px
        self._weights = weights / 2
        modes = probe.modes.astype(np.complex128)
        self._spectrum = (np.fft.fft2(modes) / np.linalg.norm(modes)).astype(np.complex64)
        self._shifted = lru_cache(maxsize=len(nodes))(self._shift)

    def row(self, row: int) -> NDArray[np.float32]:
        """Every frame of a row, (point, qy, qx)."""
        return np.stack([self._frame(y_px, x_px) for y_px, x_px in self._places_px[:, row].T])

    def _frame(self, y_px: float, x_px: float) -> NDArray[np.float32]:
        pattern = np.zeros((self._side, self._side), np.float32)
        for along_px, weight in zip(self._along_px, self._weights, strict=True):
            (top, down), (left, right) = _whole_and_rest(y_px), _whole_and_rest(x_px + along_px)
            rows, columns = (slice(first - self._side // 2, first + self._side // 2) for first in (top, left))
            field = scipy.fft.fft2(self._shifted(down, right) * self._wave[rows, columns], norm="ortho")
            pattern += weight * np.sum(field.real**2 + field.imag**2, axis=0)
        centred: NDArray[np.float32] = scipy.fft.fftshift(pattern)[self._crop]
        return centred

    def _shift(self, down_px: float, right_px: float) -> NDArray[np.complex64]:
        """The modes, moved by a part of a pixel."""
        frequency = np.fft.fftfreq(self._side)
        along_y, along_x = (np.exp(-2j * pi * frequency * shift).astype(np.complex64) for shift in (down_px, right_px))
        modes: NDArray[np.complex64] = scipy.fft.ifft2(self._spectrum * along_y[:, None] * along_x)
        return modes


def beam_stop_pixels(frame_shape: tuple[int, int], diameter_px: float) -> NDArray[np.bool_]:
    """Pixels of a frame behind a round stop in the direct beam, (qy, qx)."""
    qy, qx = (np.arange(n) - n // 2 for n in frame_shape)
    return np.hypot(qy[:, None], qx) < diameter_px / 2


def _whole_and_rest(place_px: float) -> tuple[int, float]:
    whole = int(np.floor(place_px + 0.5))
    return whole, round(place_px - whole, _SHIFT_DECIMALS)


def _check_reach(shape: tuple[int, ...], places_px: NDArray[np.float64], travel_px: float, side: int) -> None:
    for axis, (places, way_px) in enumerate(zip(places_px, (0.0, travel_px / 2), strict=True)):
        first, last = _whole_and_rest(places.min() - way_px)[0], _whole_and_rest(places.max() + way_px)[0]
        if first < side // 2 or last + side // 2 > shape[axis]:
            raise ValueError(
                f"the probe is centred on pixels {first} to {last} of {shape[axis]} along {'yx'[axis]}: "
                f"its window needs {side // 2} more on either side"
            )
