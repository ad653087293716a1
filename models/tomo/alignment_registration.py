"""By how much one image stands beside another, to a hundredth of a pixel."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from models.tomo.geometry import Array

Stack = NDArray[np.float32]

_UPSAMPLING = 10
"""Points per pixel around the peak; the parabola through three of them adds two digits."""
_REACH_PX = 1.0
"""Around the whole-pixel peak."""


def offsets_px(references: Stack, images: Stack, most_px: float) -> tuple[Array, Array]:
    """Shifts (y, u) that bring each image onto its reference, (image,) each: the peak of their cross-correlation.

    The spectrum is not normalised, so that frequencies count by their signal; borders never meet.

    Args:
        references, images: (image, y, u), finite, on an empty background.
        most_px: largest shift looked for, along either axis.

    Source: Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33 (2008) 156 (the matrix Fourier transform around the peak).
    """
    n_images, *shape = references.shape
    reach = [min(int(np.ceil(most_px)), n - 1) for n in shape]
    padded = [scipy.fft.next_fast_len(n + r + 1, real=True) for n, r in zip(shape, reach, strict=True)]
    spectrum = scipy.fft.rfft2(references, padded) * np.conj(scipy.fft.rfft2(images, padded))
    surface = scipy.fft.irfft2(spectrum, padded)
    near_y, near_x = (np.arange(-r, r + 1) for r in reach)
    near = surface[:, near_y[:, None], near_x]
    rows, columns = np.unravel_index(near.reshape(n_images, -1).argmax(axis=1), near.shape[1:])
    y: Array = near_y[rows].astype(np.float64)
    x: Array = near_x[columns].astype(np.float64)
    fine = np.arange(-_REACH_PX, _REACH_PX + 0.5 / _UPSAMPLING, 1 / _UPSAMPLING)
    patches = _correlation_at(spectrum, y[:, None] + fine, x[:, None] + fine, padded)
    rows, columns = np.unravel_index(patches.reshape(n_images, -1).argmax(axis=1), patches.shape[1:])
    every = np.arange(n_images)
    along_y, along_x = patches[every, :, columns], patches[every, rows]
    y += fine[rows] + _vertex(along_y, rows) / _UPSAMPLING
    x += fine[columns] + _vertex(along_x, columns) / _UPSAMPLING
    return np.clip(y, -most_px, most_px), np.clip(x, -most_px, most_px)


def _correlation_at(spectrum: NDArray[np.complex64], y: Array, x: Array, padded: list[int]) -> Array:
    """(image, y, x): the inverse transform of half a spectrum at any positions, (image, position) along each axis."""
    frequency_y, frequency_x = np.fft.fftfreq(padded[0]), np.fft.rfftfreq(padded[1])
    twice = np.where((frequency_x == 0) | (frequency_x == 0.5), 1.0, 2.0)
    left = np.exp(2j * np.pi * y[..., None] * frequency_y)
    right = twice[:, None] * np.exp(2j * np.pi * frequency_x[:, None] * x[:, None])
    values: Array = (left @ spectrum @ right).real
    return values


def _vertex(values: Array, peak: NDArray[np.int64]) -> Array:
    """Of the parabola through the three points around each row's peak, in points from the peak."""
    middle = np.clip(peak, 1, values.shape[1] - 2)
    below, at, above = (values[np.arange(len(values)), middle + step] for step in (-1, 0, 1))
    bend = below - 2 * at + above
    vertex: Array = (middle - peak).astype(np.float64)
    vertex += np.divide((below - above) / 2, bend, out=np.zeros_like(bend), where=bend < 0)
    return vertex
