"""Conformal calibration of an enhancer's sigma, by count level, on maps and probes of no test and no training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.enhancer import Enhancer, Factors
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, Image, scan_of
from models.superres.pairs.images import draw_image
from models.superres.pairs.probes import intensity, random_optics
from models.superres.trust import blur_sigma_px, blurred, judge

LEVELS = (15.0, 50.0, 150.0, 500.0, 1500.0, 5000.0, 15000.0)
"""Peak counts at which factors are measured; between them they are interpolated on a logarithmic scale."""

NINETY = 1.645
_SEED = 2**30  # training seeds lie below, those of test maps above
_BORDER_PX = 8
_SHARE = 0.9


@dataclass(frozen=True)
class Calibration:
    """Factors with which 1.645 sigma covers the truth in 90 % of the pixels of unseen maps.

    Attributes:
        sigma: of the full map; conditional on specimens like those of the calibration.
        supported: of the map at its supported resolution.
    """

    sigma: Factors
    supported: Factors


def calibrate(enhancer: Enhancer, n_maps: int = 10, coarse_px: int = 40) -> Calibration:
    """Measure the factors of an enhancer whose own are 1.

    Source: split conformal prediction with normalised scores, binned by counts: Lei et al., J. Am. Stat. Assoc. 113
    (2018) 1094.
    """
    sigma: list[tuple[float, float]] = []
    supported: list[tuple[float, float]] = []
    for level in LEVELS:
        scores = [_scores(enhancer, index, level, coarse_px) for index in range(n_maps)]
        for factors, own in zip((sigma, supported), zip(*scores, strict=True), strict=True):
            quantile = float(np.quantile(np.concatenate(own), _SHARE))
            factors.append((level, round(quantile / NINETY, 3)))
    return Calibration(tuple(sigma), tuple(supported))


def _scores(
    enhancer: Enhancer, index: int, counts: float, coarse_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors over sigma of one map, in full and at its supported resolution."""
    focus = intensity(random_optics(np.random.default_rng([_SEED, index])))
    probe = Probe.centred(np.sqrt(focus)[None].astype(np.complex64), PIXEL_NM, 10.0, "calibration")
    coarse, truth = scan_of(_drawn, index, probe, counts, coarse_px)
    enhanced = enhancer.enhance(coarse, probe, "fly", SCALE)
    trust = judge(enhanced, coarse, probe, "fly")
    coarse_truth = blurred(truth, blur_sigma_px(trust.period_nm[0], PIXEL_NM))
    inner = np.s_[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    full = np.abs(enhanced.values[0] - truth)[inner] / enhanced.sigma[0][inner]
    rest = np.abs(trust.supported[0] - coarse_truth)[inner] / trust.supported_sigma[0][inner]
    return full.ravel(), rest.ravel()


def _drawn(index: int, side: int) -> Image:
    return draw_image(np.random.default_rng([_SEED, index, 1]), side)
