"""Where the correlation of two images is highest, to a hundredth of a pixel.

Source: Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33 (2008) 156 (the matrix Fourier transform around the peak).
"""

from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.float64]

_AROUND_PX = 1.0
"""Of the whole-pixel peak."""


def peaks(
    spectra: NDArray[np.complex64], shape: Sequence[int], reach: Sequence[int], per_pixel: int
) -> tuple[Array, Array]:
    """Places (y, x), (image,) each, where the inverse transform of half a spectrum is highest.

    Args:
        spectra: (image, y, half x), as of `scipy.fft.rfft2`.
        shape: (y, x) of what they are the spectra of.
        reach: (y, x) whole pixels from the origin that are looked at.
        per_pixel: points per pixel around the whole-pixel peak; the parabola through three of them adds two digits.
    """
    surface = scipy.fft.irfft2(spectra, shape)
    near_y, near_x = (np.arange(-r, r + 1) for r in reach)
    near = surface[:, near_y[:, None], near_x]
    every = np.arange(len(spectra))
    rows, columns = np.unravel_index(near.reshape(len(spectra), -1).argmax(axis=1), near.shape[1:])
    y, x = near_y[rows].astype(np.float64), near_x[columns].astype(np.float64)
    fine = np.arange(-_AROUND_PX, _AROUND_PX + 0.5 / per_pixel, 1 / per_pixel)
    patches = _correlation_at(spectra, y[:, None] + fine, x[:, None] + fine, shape)
    rows, columns = np.unravel_index(patches.reshape(len(spectra), -1).argmax(axis=1), patches.shape[1:])
    y += fine[rows] + _vertex(patches[every, :, columns], rows) / per_pixel
    x += fine[columns] + _vertex(patches[every, rows], columns) / per_pixel
    return y, x


def _correlation_at(spectra: NDArray[np.complex64], y: Array, x: Array, shape: Sequence[int]) -> Array:
    """(image, y, x): the inverse transform of half a spectrum at any positions, (image, position) along each axis."""
    frequency_y, frequency_x = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    twice = np.where((frequency_x == 0) | (frequency_x == 0.5), 1.0, 2.0)
    left = np.exp(2j * np.pi * y[..., None] * frequency_y)
    right = twice[:, None] * np.exp(2j * np.pi * frequency_x[:, None] * x[:, None])
    values: Array = (left @ spectra @ right).real
    return values


def _vertex(values: Array, peak: NDArray[np.int64]) -> Array:
    """Of the parabola through the three points around each row's peak, in points from the peak."""
    middle = np.clip(peak, 1, values.shape[1] - 2)
    below, at, above = (values[np.arange(len(values)), middle + step] for step in (-1, 0, 1))
    bend = below - 2 * at + above
    vertex: Array = (middle - peak).astype(np.float64)
    vertex += np.divide((below - above) / 2, bend, out=np.zeros_like(bend), where=bend < 0)
    return vertex
