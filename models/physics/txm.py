"""The camera of a full-field transmission microscope: frames, and what they say of light and specimen.

The objective's blur, the camera's own blur and its dead pixels are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FULL_SCALE = 65535
LEAST_TRANSMISSION = 1e-3
"""Darker pixels are told to be as dark as this: what noise makes of nothing has no logarithm."""

Frames = NDArray[np.floating] | NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class TxmCamera:
    """A scintillator camera.

    Attributes:
        efficiency: detected photons per photon.
        photons_per_count: detected photons per count.
        offset: counts of a frame without light.
        dark_hz: counts per second without light.
        read_noise: rms counts of a read-out.
    """

    efficiency: float = 0.5
    photons_per_count: float = 4.0
    offset: float = 100.0
    dark_hz: float = 2.0
    read_noise: float = 2.0

    def expected_counts(self, photons: ArrayLike, exposure_s: float) -> NDArray[np.float64]:
        """Mean counts of photons that come in an exposure, before the camera clips them."""
        detected = np.asarray(photons, np.float64) * self.efficiency
        return np.asarray(detected / self.photons_per_count + self.offset + self.dark_hz * exposure_s)

    def sample_frame(
        self, photons: NDArray[np.floating], exposure_s: float, rng: np.random.Generator
    ) -> NDArray[np.uint16]:
        """Take a frame: photons and dark current as they come, read-out noise, whole counts up to full scale.

        Args:
            photons: (y, x), mean on each pixel in the exposure.
            exposure_s: how long.
            rng: of the noise.
        """
        detected = rng.poisson(photons * self.efficiency) / self.photons_per_count
        dark = rng.poisson(self.dark_hz * exposure_s, photons.shape) + self.offset
        counts = detected + dark + rng.normal(0.0, self.read_noise, photons.shape)
        return np.asarray(np.clip(np.rint(counts), 0, FULL_SCALE), np.uint16)


def relative_light(frames: Frames, light: ArrayLike, dark: Frames) -> NDArray[np.float32]:
    """Frames without their dark counts, per light that fell on them, (frame, y, x).

    Args:
        frames: (frame, y, x) counts.
        light: (frame,) that each was exposed to, in any unit, positive.
        dark: (frame, y, x) counts of frames without light of the same exposure.
    """
    bright = frames.astype(np.float32)
    bright -= dark.mean(axis=0, dtype=np.float64).astype(np.float32)
    bright /= np.asarray(light, np.float32)[:, None, None]
    return bright


def measured_optical_depth(image: NDArray[np.floating], flat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Minus the logarithm of the specimen's transmission, (y, x).

    Args:
        image: (frame, y, x) `relative_light` with the specimen in the beam.
        flat: (frame, y, x) the same without it.

    Raises:
        ValueError: their pixels are not the same, or a pixel of the flat field has no light.
    """
    if image.shape[1:] != flat.shape[1:]:
        raise ValueError(f"the image has {image.shape[1:]} pixels and the flat field {flat.shape[1:]}: they must agree")
    through, before = image.mean(axis=0), flat.mean(axis=0)
    if not np.all(before > 0):
        raise ValueError(f"{np.count_nonzero(~(before > 0))} pixels of the flat field have no light: take it again")
    return np.asarray(-np.log(np.maximum(through / before, LEAST_TRANSMISSION)), np.float32)
