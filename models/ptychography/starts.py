"""First guesses of a probe: the mean frame says its amplitude in the far field, only the focus is unknown.

A specimen scatters the far field of the probe about a little, and a source of any size does not change it.
"""

from math import pi

import numpy as np
from numpy.typing import NDArray

from models.ptychography.fit import Wave
from models.ptychography.frames import Frames, from_centroid_px, radius_holding_px

_WITHIN = 0.98  # of the photons, in the radius that a defocus counts to
_FIRST_RAD, _APART_RAD = 3.0, 6.0  # a fit finds what lies within about 4 rad of its start


def focus_at(frames: Frames, defocus_rad: float) -> Wave:
    """(1, n, n) a probe with the mean frame's amplitude and a parabola of phase: this much at the aperture's edge."""
    mean = frames.mean_frame(frames.haze())
    radius = from_centroid_px(mean)
    phase = defocus_rad * (radius / _aperture_px(mean, radius)) ** 2
    spectrum = np.fft.ifftshift(np.sqrt(mean) * np.exp(1j * phase))
    return np.fft.fftshift(np.fft.ifft2(spectrum, norm="ortho")).astype(np.complex64)[None]


def likely_defoci(frames: Frames) -> tuple[float, ...]:
    """Phases at the aperture's edge to start from: in focus, and both ways up to where the beam fills its window.

    The beam's edge lies at 2 d / R * n / (2 pi) pixels from the middle, with the phase d and the aperture R.
    """
    mean = frames.mean_frame(frames.haze())
    largest = pi / 2 * _aperture_px(mean, from_centroid_px(mean))
    steps = np.arange(_FIRST_RAD, max(largest, 2 * _FIRST_RAD), _APART_RAD)
    return (0.0, *(float(sign * step) for step in steps for sign in (-1, 1)))


def _aperture_px(mean: NDArray[np.float64], radius: NDArray[np.float64]) -> float:
    """Radius that holds nearly all photons of a frame."""
    return max(radius_holding_px(mean, radius, _WITHIN), 1.0)
