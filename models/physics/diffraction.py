"""Far-field diffraction of a nanoprobe behind a thin specimen."""

from collections.abc import Sequence
from math import pi

import numpy as np
import scipy.fft
import xraylib
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.scan import Motion

CLASSICAL_ELECTRON_RADIUS_CM = 2.8179403e-13
AVOGADRO_PER_MOL = 6.02214076e23
KEV_CM = 1.23984198e-7
"""Wavelength times energy."""
G_PER_UG = 1e-6

# Three places along the step, Gauss-Legendre: a fly-scan's pattern to better than its counting noise.
_FLY_NODES = {"fly": np.polynomial.legendre.leggauss(3), "step": np.polynomial.legendre.leggauss(1)}


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
    wavelength_cm = KEV_CM / energy_kev
    exponents = []
    for element in elements:
        number = xraylib.SymbolToAtomicNumber(element)
        atoms_per_ug = G_PER_UG * AVOGADRO_PER_MOL / xraylib.AtomicWeight(number)
        electrons = number + xraylib.Fi(number, energy_kev)
        phase = CLASSICAL_ELECTRON_RADIUS_CM * wavelength_cm * electrons * atoms_per_ug
        absorption = xraylib.CS_Total(number, energy_kev) * G_PER_UG
        exponents.append(-absorption / 2 - 1j * phase)
    wave = np.exp(np.tensordot(np.array(exponents), areal_density_ug_cm2, axes=1))
    return np.asarray(wave, np.complex64)


class FarField:
    """Diffraction of each point of a raster, as photons per incident photon.

    A pixel of the frame is 1 / (side of the probe's window) wide in reciprocal space; the direct beam lies on pixel
    (frame_shape // 2). In fly mode a frame averages over one step along x.
    """

    def __init__(
        self,
        probe: Probe,
        wave: NDArray[np.complex64],
        scale: int,
        motion: Motion,
        frame_shape: tuple[int, int],
    ) -> None:
        """Take the specimen's transmission on the fine grid of `models.physics.flyscan.FlyScanOperator`.

        Raises:
            ValueError: frame_shape is larger than the probe's window, which holds no such angles.
        """
        side = probe.modes.shape[-1]
        if max(frame_shape) > side:
            raise ValueError(f"frame_shape is {frame_shape}: the probe's window of {side} pixels allows no more")
        self._wave = wave
        self._side = side
        self._scale = scale
        self._points = (wave.shape[1] - side) // scale
        self._crop = tuple(slice((side - n) // 2, (side - n) // 2 + n) for n in frame_shape)
        self._probes = _probes_along_step(probe, scale, motion)

    def row(self, row: int) -> NDArray[np.float32]:
        """Every frame of a row, (point, qy, qx)."""
        return np.stack([self._frame(row, point) for point in range(self._points)])

    def _frame(self, row: int, point: int) -> NDArray[np.float32]:
        top = self._scale * row + self._scale // 2
        left = self._scale * point + self._scale // 2
        pattern = np.zeros((self._side, self._side), np.float32)
        for shift_px, modes in self._probes:
            patch = self._wave[top : top + self._side, left + shift_px : left + shift_px + self._side]
            field = scipy.fft.fft2(modes * patch, norm="ortho")
            pattern += np.sum(field.real**2 + field.imag**2, axis=0)
        centred: NDArray[np.float32] = scipy.fft.fftshift(pattern)[self._crop]
        return centred


def _probes_along_step(probe: Probe, scale: int, motion: Motion) -> list[tuple[int, NDArray[np.complex64]]]:
    """The probe at each place along the step: whole pixels apart, and what is left of them as a Fourier shift.

    The middle of a coarse point lies half a pixel before that of the window in which its probe stands when a step holds
    an even number of pixels.
    """
    nodes, weights = _FLY_NODES[motion]
    half_px = -0.5 if scale % 2 == 0 else 0.0
    frequency = np.fft.fftfreq(probe.modes.shape[-1])
    total = np.sum(np.abs(probe.modes.astype(np.complex128)) ** 2)
    spectrum = np.fft.fft2(probe.modes.astype(np.complex128)) / np.sqrt(total)
    probes = []
    for node, weight in zip(nodes, weights, strict=True):
        along_px = node / 2 * scale + half_px
        whole_px = int(np.floor(along_px + 0.5))
        ramp = np.exp(-2j * pi * (frequency[:, None] * half_px + frequency * (along_px - whole_px)))
        modes = np.fft.ifft2(spectrum * ramp) * np.sqrt(weight / 2)
        probes.append((whole_px, modes.astype(np.complex64)))
    return probes
