"""What a scan does to the spectrum of a specimen: coarse and fine spectra of every prior, aliasing folded exactly."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq, irfft2, next_fast_len

from models.physics.flyscan import fly_kernel, matched_probe
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.prior import CANDIDATES, Map, PowerLaw

_PAD_NM = 240.0  # beyond the map on every side: holds all but 1 % of a 40 nm zone plate's beam
_LEAST_PAD = 4  # coarse pixels
_OUT_OF_BAND = 1e-10  # of |transfer|^2: rounding of the float32 kernel


@dataclass(frozen=True, eq=False)
class PriorSpectra:
    """Spectra of specimens of one prior, of unit strength, under one kind of scan.

    Attributes:
        coarse: (y, x) of the coarse map without noise, A P A^T.
        cross: of the fine map against the coarse one, P A^T averaged over fine pixels, on rfft2's half-plane.
        phase_power: (frequency, phase) squared magnitude of ``cross`` by coarse frequency, flat, and place of a fine
            pixel under its coarse one, flat.
        fine_variance: of a fine pixel.
    """

    coarse: Map
    cross: NDArray[np.complex128]
    phase_power: Map
    fine_variance: float


class ScanSpectra:
    """One kind of scan in Fourier space, at the probe's pixels, over the coarse map and some padding.

    Spectra are those of scipy.fft, without normalisation: a covariance is the inverse transform of its spectrum.

    Attributes:
        shape: (rows, points) of the coarse map.
        pad: coarse pixels before it along both axes.
        padded: coarse pixels of the padded map, lengths that are fast to transform.
        scale: fine pixels per coarse pixel.
        fine: scale * padded.
    """

    def __init__(self, probe: Probe, shape: tuple[int, int], step_nm: float, scale: int, motion: Motion) -> None:
        matched, self._binning = matched_probe(probe, step_nm, scale)
        self._pixel_size_nm = matched.pixel_size_nm
        self._decimation = scale * self._binning
        self._priors: dict[PowerLaw, PriorSpectra] = {}
        self.shape = shape
        self.scale = scale
        self.pad = max(_LEAST_PAD, ceil(_PAD_NM / step_nm))
        rows, points = (next_fast_len(n + 2 * self.pad, real=True) for n in shape)
        self.padded = (rows, points)
        self.fine = (scale * rows, scale * points)
        moved_px = matched.moved_nm / matched.pixel_size_nm
        kernel = fly_kernel(matched.intensity(), self._decimation, motion, moved_px)
        self._keep_band(_transfer(kernel, self._decimation, self._grid))

    @cached_property
    def candidates(self) -> Map:
        """(candidate, frequency) coarse spectra of all priors, as `models.superres.prior.fit_prior` takes them."""
        half = self.padded[1] // 2 + 1
        return np.array([self._coarse(candidate)[:, :half].ravel() for candidate in CANDIDATES])

    def under(self, prior: PowerLaw) -> PriorSpectra:
        """What this scan makes of specimens with this prior; computed once for each prior."""
        if prior not in self._priors:
            cross = self._cross(prior)
            self._priors[prior] = PriorSpectra(
                self._coarse(prior), cross, self._phase_power(cross), self._fine_variance(prior)
            )
        return self._priors[prior]

    @property
    def _grid(self) -> tuple[int, int]:
        return self._decimation * self.padded[0], self._decimation * self.padded[1]

    def _frequencies(self) -> tuple[Map, Map]:
        return fftfreq(self._grid[0], self._pixel_size_nm), fftfreq(self._grid[1], self._pixel_size_nm)

    def _keep_band(self, transfer: NDArray[np.complex128]) -> None:
        """List the frequencies that the probe transfers and the bins of coarse and fine spectra that they fold to."""
        rows, columns = np.nonzero(np.abs(transfer) ** 2 > _OUT_OF_BAND)
        fy, fx = self._frequencies()
        self._transfer = transfer[rows, columns]
        self._averaging = self._average_over_fine(fy)[rows] * self._average_over_fine(fx)[columns]
        self._squared_frequency = fy[rows] ** 2 + fx[columns] ** 2
        self._coarse_bin = (rows % self.padded[0]) * self.padded[1] + columns % self.padded[1]
        self._fine_bin = (rows % self.fine[0]) * self.fine[1] + columns % self.fine[1]

    def _average_over_fine(self, frequency: Map) -> NDArray[np.complex128]:
        """Transfer, along one axis, from probe pixels to the mean of the block of them that makes a fine pixel."""
        cycles = frequency * self._pixel_size_nm
        mean = np.sinc(cycles * self._binning) / np.sinc(cycles)
        return np.asarray(mean * np.exp(1j * np.pi * cycles * (self._binning - 1)))

    def _coarse(self, prior: PowerLaw) -> Map:
        power = prior.spectrum(self._squared_frequency) * np.abs(self._transfer) ** 2
        return _folded(power, self._coarse_bin, self.padded) / self._decimation**2

    def _cross(self, prior: PowerLaw) -> NDArray[np.complex128]:
        power = prior.spectrum(self._squared_frequency) * self._averaging * self._transfer.conj()
        half = self.fine[1] // 2 + 1
        real, imaginary = (_folded(part, self._fine_bin, self.fine)[:, :half] for part in (power.real, power.imag))
        return np.asarray((real + 1j * imaginary) / self._binning**2)

    def _phase_power(self, cross: NDArray[np.complex128]) -> Map:
        (rows, points), scale = self.padded, self.scale
        phases = irfft2(cross, self.fine).reshape(rows, scale, points, scale).transpose(1, 3, 0, 2)
        return np.asarray(np.abs(fft2(phases)) ** 2).reshape(scale**2, rows * points).T

    def _fine_variance(self, prior: PowerLaw) -> float:
        fy, fx = self._frequencies()
        averaged = np.abs(np.outer(self._average_over_fine(fy), self._average_over_fine(fx))) ** 2
        return float(np.mean(prior.spectrum(fy[:, None] ** 2 + fx**2) * averaged))


@lru_cache(maxsize=8)
def scan_spectra(probe: Probe, shape: tuple[int, int], step_nm: float, scale: int, motion: Motion) -> ScanSpectra:
    """The spectra of a scan, made once: all angles of a series share them."""
    return ScanSpectra(probe, shape, step_nm, scale, motion)


def _transfer(kernel: NDArray[np.float32], decimation: int, grid: tuple[int, int]) -> NDArray[np.complex128]:
    """Spectrum of the correlation with a kernel on a periodic grid, which may be smaller than the kernel."""
    margin = (len(kernel) - decimation) // 2
    periods = [ceil(len(kernel) / n) for n in grid]
    tiled = np.zeros((periods[0] * grid[0], periods[1] * grid[1]))
    tiled[: len(kernel), : len(kernel)] = kernel
    wrapped = tiled.reshape(periods[0], grid[0], periods[1], grid[1]).sum(axis=(0, 2))
    return np.asarray(fft2(np.roll(wrapped, (-margin, -margin), (0, 1))).conj())


def _folded(values: Map, bins: NDArray[np.int64], shape: tuple[int, int]) -> Map:
    return np.asarray(np.bincount(bins, values, minlength=shape[0] * shape[1]), np.float64).reshape(shape)
