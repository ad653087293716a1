"""The linear enhancer: least mean-square error for the measured probe, without a network or training."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from models.physics.probe import Probe
from models.scan import Motion
from models.superres.coarse import coarse_maps
from models.superres.consistency import consistency
from models.superres.enhancer import Calibration, EnhancedMaps, check_scale
from models.superres.prior import CANDIDATES
from models.superres.spectra import scan_spectra
from models.superres.uncertainty import posterior_sigma
from models.superres.wiener import estimate, fine_map
from models.xrf.maps import ElementMaps

_VERSION = "lmmse-2"
_CALIBRATION = Calibration(
    denied_above=(
        (15.0, 2.142),
        (50.0, 1.91),
        (150.0, 1.748),
        (500.0, 1.672),
        (1500.0, 1.847),
        (5000.0, 2.576),
        (15000.0, 2.576),
    ),
)


@dataclass(frozen=True)
class LmmseEnhancer:
    """Deconvolves probe, motion and sampling at once, each element by itself, under a power-law prior fitted to it."""

    @property
    def name(self) -> str:
        """As in settings."""
        return "lmmse"

    @property
    def digest(self) -> str:
        """Of the version and the priors it chooses from."""
        return sha256(f"{_VERSION} {CANDIDATES}".encode()).hexdigest()[:16]

    @property
    def calibration(self) -> Calibration:
        """Of maps like those of trainings."""
        return _CALIBRATION

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale.

        Raises:
            ValueError: scale is below 1, or an element was measured nowhere.
        """
        check_scale(scale)
        shape = (coarse.mask.shape[0], coarse.mask.shape[1])
        spectra = scan_spectra(probe, shape, coarse.pixel_size_nm, scale, motion)
        maps = list(coarse_maps(coarse))
        results = [estimate(element, spectra) for element in maps]
        values = np.array([fine_map(result, spectra) for result in results], np.float32)
        sigma = [posterior_sigma(result, element, spectra) for result, element in zip(results, maps, strict=True)]
        return EnhancedMaps(
            elements=coarse.elements,
            values=values,
            sigma=np.array(sigma, np.float32),
            consistency=consistency(values, coarse, probe, motion, scale),
            pixel_size_nm=coarse.pixel_size_nm / scale,
        )
