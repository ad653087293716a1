"""Structured illumination: what sandpaper diffusers on stages make of a wide beam.

Behind a diffuser the light is a positive speckle: the exponential of a smooth Gaussian field, which moves with the
stage. Light behind several diffusers is the product of theirs. What diffusers do not do here: soften the pattern of
those behind them, or change with the photon energy.

Source: Li et al., PNAS 120 (2023) e2314542120 (two sandpapers of different grit before the condenser).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

SCREEN_FIELDS = 4
"""Sides of the field of view after which a screen repeats itself."""


@dataclass(frozen=True)
class Diffuser:
    """A sandpaper by what it does to the light on the specimen.

    Attributes:
        name: of its grit.
        grain_nm: standard deviation of the Gaussian that its field is smoothed with.
        contrast: standard deviation of the logarithm of the light behind it.
    """

    name: str
    grain_nm: float
    contrast: float

    def __post_init__(self) -> None:
        if not (self.grain_nm > 0 and self.contrast > 0):
            raise ValueError(
                f"diffuser {self.name!r} has grain_nm {self.grain_nm} and contrast {self.contrast}: "
                "pass positive numbers"
            )


GRITS = {"fine": Diffuser("fine", 100.0, 0.5), "coarse": Diffuser("coarse", 300.0, 0.3)}
"""At 100 nm pixels: one and three pixels, and light with a standard deviation of 0.6 of its mean behind both."""


class Screen:
    """One piece of a diffuser, periodic, seen through a field of view that it is moved behind."""

    def __init__(self, diffuser: Diffuser, shape: tuple[int, int], pixel_nm: float, rng: np.random.Generator) -> None:
        """Grow it.

        Args:
            diffuser: its grit.
            shape: (y, x) pixels of the field of view.
            pixel_nm: of the field of view.
            rng: of the grains.
        """
        self.shape = shape
        self.pixel_nm = pixel_nm
        self.period_px = (SCREEN_FIELDS * shape[0], SCREEN_FIELDS * shape[1])
        field = _gaussian_field(self.period_px, diffuser.grain_nm / pixel_nm, rng)
        self._coefficients = spline_filter(diffuser.contrast * field, order=3, mode="grid-wrap")
        self._mean_log = diffuser.contrast**2 / 2

    def light(self, place_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative light on each pixel, (y, x), with the screen moved to a place (y, x); its mean over places is 1."""
        log = self._coefficients
        for axis, (n, place) in enumerate(zip(self.shape, place_nm, strict=True)):
            log = _moved(log, axis, n, -float(place) / self.pixel_nm)
        return np.asarray(np.exp(log - self._mean_log))


@dataclass(frozen=True, eq=False)
class StructuredLight:
    """Diffusers in an uneven beam.

    Attributes:
        screens: by grit.
        envelope: (y, x), the beam without diffusers; its mean is 1.
    """

    screens: dict[str, Screen]
    envelope: NDArray[np.float64]

    def pattern(self, places_nm: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """Light on each pixel, (y, x), in units of the mean without diffusers.

        Args:
            places_nm: (y, x) of each diffuser in the beam, by grit.

        Raises:
            KeyError: there is no such diffuser.
        """
        light = self.envelope
        for name, place_nm in places_nm.items():
            light = light * self.screens[name].light(place_nm)
        return np.asarray(light, np.float32)


def structured_light(
    diffusers: Sequence[Diffuser],
    shape: tuple[int, int],
    pixel_nm: float,
    falloff: float,
    rng: np.random.Generator,
) -> StructuredLight:
    """Grow a screen of each diffuser, in a beam that falls off from its middle.

    Args:
        diffusers: of different names.
        shape: (y, x) pixels of the field of view.
        pixel_nm: side of a pixel.
        falloff: of the beam's logarithm from the middle to the middle of an edge.
        rng: of the grains.

    Raises:
        ValueError: shape or a number makes no sense.
    """
    if min(shape) < 1 or not pixel_nm > 0 or falloff < 0:
        raise ValueError(f"shape is {shape}, pixel_nm {pixel_nm}, falloff {falloff}: pass positive numbers")
    y, x = (np.linspace(-1 + 1 / n, 1 - 1 / n, n) for n in shape)
    envelope = np.exp(-falloff * (y[:, None] ** 2 + x**2))
    screens = {diffuser.name: Screen(diffuser, shape, pixel_nm, rng) for diffuser in diffusers}
    return StructuredLight(screens, envelope / envelope.mean())


def bucket_density(pattern: NDArray[np.floating], areal_density_ug_cm2: NDArray[np.floating]) -> NDArray[np.float64]:
    """Areal density that a detector without spatial resolution sees under a pattern, (element,).

    Fluorescence of a thin specimen is linear in light and areal density, so the whole field gives the spectrum of one
    point of this areal density in all the photons that the field would get without diffusers: the mean over pixels of
    pattern times areal density.

    Args:
        pattern: (y, x), in units of the mean light without diffusers.
        areal_density_ug_cm2: (element, y, x).
    """
    pixels = pattern.size
    return np.asarray(areal_density_ug_cm2.reshape(-1, pixels).astype(np.float64) @ pattern.ravel() / pixels)


def _moved(coefficients: NDArray[np.float64], axis: int, n: int, start: float) -> NDArray[np.float64]:
    """Values of a periodic cubic spline at n places of pitch 1 along an axis, of which the first is ``start``.

    Source: Unser, IEEE Signal Process. Mag. 16 (1999) 22 (cubic B-spline).
    """
    first = int(np.floor(start))
    rest = start - first
    near = coefficients.take(np.arange(first - 1, first + n + 2) % coefficients.shape[axis], axis=axis)
    weights = (
        (1 - rest) ** 3 / 6,
        (4 - 6 * rest**2 + 3 * rest**3) / 6,
        (1 + 3 * rest + 3 * rest**2 - 3 * rest**3) / 6,
        rest**3 / 6,
    )
    windows = (near[:, k : k + n] if axis else near[k : k + n] for k in range(4))
    return np.asarray(sum(weight * window for weight, window in zip(weights, windows, strict=True)))


def _gaussian_field(shape: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Periodic white noise smoothed with a Gaussian, (y, x), of mean 0 and standard deviation 1."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    smoothing = np.exp(-2 * (np.pi * sigma_px) ** 2 * (fy**2 + fx**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * smoothing, shape)
    field -= field.mean()
    return np.asarray(field / field.std())
