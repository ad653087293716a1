"""Whether a fine map explains the measurement it was made from."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.physics.flyscan import FlyScanOperator, matched_probe
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.coarse import coarse_maps
from models.xrf.maps import ElementMaps


def consistency(
    values: NDArray[np.float32], coarse: ElementMaps, probe: Probe, motion: Motion, scale: int
) -> NDArray[np.float32]:
    """Chi^2 per point of the measurement against the re-blurred fine map, averaged over 3x3 measured points.

    The fine map goes through the forward operator of the scan, at the probe's own pixels; beyond its border it is
    continued by its edge. About 1 where the fine map is the truth; below 1 where it was fitted to the measurement and
    follows its noise; well above 1 where it shows what the measurement denies. It cannot see what the scan cannot:
    structure finer than step and probe changes no reading.

    Args:
        values: (element, scale * y, scale * x) in ug/cm^2.
        coarse: what was measured.
        probe: that the scan was made with.
        motion: of the scan.
        scale: fine pixels per coarse pixel.

    Returns:
        (element, y, x), NaN where not measured.

    Raises:
        ValueError: values do not cover the coarse map at this scale, or an element was measured nowhere.
    """
    shape = (coarse.mask.shape[0], coarse.mask.shape[1])
    operator = _operator(probe, shape, coarse.pixel_size_nm, scale, motion)
    margin = operator.margin_px
    continued = np.pad(np.asarray(values, np.float32), ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    expected = operator.forward(torch.from_numpy(continued)).numpy().astype(np.float64)
    chi_squared = np.full(expected.shape, np.nan, np.float32)
    for index, element in enumerate(coarse_maps(coarse)):
        squared = np.where(element.measured, (element.values - expected[index]) ** 2 / element.variance, 0)
        weight = uniform_filter(element.measured.astype(np.float64), 3, mode="constant")
        mean = uniform_filter(squared, 3, mode="constant") / np.maximum(weight, 1e-9)
        chi_squared[index] = np.where(element.measured, mean, np.nan)
    return chi_squared


@lru_cache(maxsize=8)
def _operator(probe: Probe, shape: tuple[int, int], step_nm: float, scale: int, motion: Motion) -> FlyScanOperator:
    matched, binning = matched_probe(probe, step_nm, scale)
    return FlyScanOperator(matched, shape, scale, motion, binning)
