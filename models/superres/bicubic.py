"""The baseline enhancer: cubic interpolation between the centres of coarse pixels, blind to probe and motion."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter

from models.physics.probe import Probe
from models.scan import Motion
from models.superres.coarse import CoarseMap, coarse_maps
from models.superres.consistency import consistency
from models.superres.enhancer import Calibration, EnhancedMaps, check_scale
from models.xrf.maps import ElementMaps

_VERSION = "bicubic-2"
_CALIBRATION = Calibration(
    denied_above=((15.0, 2.045), (50.0, 2.576), (15000.0, 2.576)),
)
_SHARPNESS = -0.75  # of Keys' kernel, as torch and OpenCV have it
_ERROR_PER_CONTRAST = 0.5  # rms error of blur and interpolation per rms difference of neighbouring points: see README


@dataclass(frozen=True)
class BicubicEnhancer:
    """What everybody has: the line that any other enhancer must beat, with an error estimate all the same."""

    @property
    def name(self) -> str:
        """As in settings."""
        return "bicubic"

    @property
    def digest(self) -> str:
        """Of the version and the constants."""
        return sha256(f"{_VERSION} {_SHARPNESS} {_ERROR_PER_CONTRAST}".encode()).hexdigest()[:16]

    @property
    def calibration(self) -> Calibration:
        """Of maps like those of trainings."""
        return _CALIBRATION

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale.

        Sigma joins the measurement's noise, carried through the interpolation, and what interpolation cannot know,
        taken in proportion to the local contrast of the map beyond its noise. Missing points take the value of the
        nearest measured one.

        Raises:
            ValueError: scale is below 1, or an element was measured nowhere.
        """
        check_scale(scale)
        along_y, along_x = (cubic_weights(n, scale) for n in coarse.mask.shape)
        values, sigma = [], []
        for element in coarse_maps(coarse):
            contrast = _contrast(element)
            distance = distance_transform_edt(~element.measured)
            noise = element.variance + distance**2 * contrast[element.measured].mean()
            unknown = _ERROR_PER_CONTRAST**2 * np.kron(contrast, np.ones((scale, scale)))
            values.append(along_y @ element.values @ along_x.T)
            sigma.append(np.sqrt(along_y**2 @ noise @ (along_x**2).T + unknown))
        fine = np.array(values, np.float32)
        return EnhancedMaps(
            elements=coarse.elements,
            values=fine,
            sigma=np.array(sigma, np.float32),
            consistency=consistency(fine, coarse, probe, motion, scale),
            pixel_size_nm=coarse.pixel_size_nm / scale,
        )


def cubic_weights(n: int, scale: int) -> NDArray[np.float64]:
    """(scale * n, n) weights of coarse points in fine ones; points beyond an end repeat the last.

    Source: Keys, IEEE Trans. Acoust. Speech Signal Process. 29 (1981) 1153, eq. 4.
    """
    position = (np.arange(scale * n) + 0.5) / scale - 0.5
    first = np.floor(position).astype(int) - 1
    weights = np.zeros((scale * n, n))
    for offset in range(4):
        distance = np.abs(position - (first + offset))
        near = ((_SHARPNESS + 2) * distance - (_SHARPNESS + 3)) * distance**2 + 1
        far = _SHARPNESS * (((distance - 5) * distance + 8) * distance - 4)
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(weights, (np.arange(scale * n), np.clip(first + offset, 0, n - 1)), weight)
    return weights


def _contrast(coarse: CoarseMap) -> NDArray[np.float64]:
    """(y, x) mean square difference between neighbouring points around, less what noise makes of it."""
    edged = np.pad(coarse.values, 1, mode="edge")
    centre = edged[1:-1, 1:-1]
    neighbours = (edged[:-2, 1:-1], edged[2:, 1:-1], edged[1:-1, :-2], edged[1:-1, 2:])
    squared = sum((centre - neighbour) ** 2 for neighbour in neighbours) / 4
    around: NDArray[np.float64] = uniform_filter(squared - 2 * coarse.variance, 3, mode="nearest")
    return np.maximum(around, 0)
