"""Features that an enhanced map shows and the truth does not have."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, maximum_filter

Image = NDArray[np.float32]

DIAMETER_NM = 38.0
HEIGHT = 0.15  # of full scale: half of the grains that `guard` plants


def false_features_per_um2(values: Image, truth: Image, pixel_nm: float) -> float:
    """Grains that are not there, per square micrometre.

    A grain is a place where the map, averaged over a disc of 38 nm, shows at least 0.15 of full scale more than the
    truth averaged likewise, and more than anywhere else within a disc. Noise that was not smoothed away counts as well:
    who looks at the map cannot tell it from a grain; and so does a pore that was filled.

    Args:
        values: (y, x) a map whose truth is 1 at its brightest.
        truth: (y, x).
        pixel_nm: of both.
    """
    radius_px = DIAMETER_NM / 2 / pixel_nm
    reach = np.arange(-int(radius_px + 1), int(radius_px + 1) + 1)
    disc = np.clip(radius_px + 0.5 - np.hypot(reach[:, None], reach[None, :]), 0, 1)
    excess = convolve(values.astype(np.float64) - truth, disc / disc.sum(), mode="nearest")
    highest = excess == maximum_filter(excess, footprint=disc > 0, mode="nearest")
    return float(np.count_nonzero(highest & (excess >= HEIGHT)) / (values.size * pixel_nm**2 * 1e-6))
