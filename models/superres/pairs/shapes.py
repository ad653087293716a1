"""Painting shapes with soft edges, one pixel wide, into an image."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Signed distance in pixels, negative inside, at (dy, dx) from a shape's centre."""


def paint(image: Image, centre: tuple[float, float], reach: float, distance: Distance, blend: "Blend") -> None:
    """Blend a shape into an image in place, as far as it reaches from its centre (y, x)."""
    (y, x), (height, width) = centre, image.shape
    top, left = max(0, int(y - reach) - 1), max(0, int(x - reach) - 1)
    bottom, right = min(height, int(y + reach) + 2), min(width, int(x + reach) + 2)
    if top >= bottom or left >= right:
        return
    dy, dx = np.arange(top, bottom)[:, None] - y, np.arange(left, right)[None, :] - x
    cover = np.clip(0.5 - distance(dy, dx), 0, 1)
    part = image[top:bottom, left:right]
    part[:] = blend(part, cover, dx)


Blend = Callable[[Image, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""From what is there, how much of each pixel the shape covers, and x from its centre, what shall be there."""


def disc(radius: float) -> Distance:
    """A round shape."""
    return lambda dy, dx: np.hypot(dy, dx) - radius


def turned(distance: Distance, angle_rad: float, stretch: float = 1.0) -> Distance:
    """A shape turned, and stretched along its own second axis."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return lambda dy, dx: distance(stretch * (cosine * dy - sine * dx), cosine * dx + sine * dy)


def square(half: float) -> Distance:
    """A square of that half side."""
    return lambda dy, dx: np.maximum(np.abs(dy), np.abs(dx)) - half


def triangle(inner_radius: float) -> Distance:
    """An equilateral triangle around a circle of that radius."""
    return lambda dy, dx: np.maximum(np.maximum(-dx, dx / 2 + 0.866 * dy), dx / 2 - 0.866 * dy) - inner_radius


def texture(rng: np.random.Generator, side: int, slope: float) -> Image:
    """Gaussian noise (side, side) whose amplitude falls as frequency^-slope; mean 0, standard deviation 1."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    values = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * frequency**-slope, (side, side))
    return np.asarray((values - values.mean()) / values.std(), np.float32)
