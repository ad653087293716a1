"""Conformal calibration of an enhancer's sigma, by count level, on maps and probes of no test and no training."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.enhancer import CHANCE, Calibration, EnhancedMaps, Enhancer, Factors
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, Image, scan_of
from models.superres.lmmse import LmmseEnhancer
from models.superres.pairs.images import draw_image
from models.superres.pairs.probes import intensity, random_optics
from models.superres.trust import Trust, blur_sigma_px, blurred, judge

LEVELS = (15.0, 50.0, 150.0, 500.0, 1500.0, 5000.0, 15000.0)
"""Peak counts at which factors are measured; between them they are interpolated on a logarithmic scale."""

NINETY = 1.645
_SEED = 2**30  # training seeds lie below, those of test maps above
_INNER = np.s_[8:-8, 8:-8]
_COVERED, _RIGHT = 0.9, 0.99


def calibrate(enhancer: Enhancer, n_maps: int = 20, coarse_px: int = 40) -> Calibration:
    """Measure the factors of an enhancer whose own are 1, on maps and probes of no test and no training.

    With them 1.645 sigma covers the truth in 90 % of the pixels of the full map, conditional on specimens like these.

    Source: split conformal prediction with normalised scores, binned by counts: Lei et al., J. Am. Stat. Assoc. 113
    (2018) 1094.
    """
    sigma, denied_above = [], []
    for level in LEVELS:
        errors, denials = [], []
        for truth, enhanced, trust in _judged(enhancer, level, n_maps, coarse_px):
            errors.append((np.abs(enhanced.values[0] - truth) / enhanced.sigma[0])[_INNER].ravel())
            denials.append(np.abs(trust.denial[0][np.isfinite(trust.denial[0])]))
        sigma.append((level, _factor(errors)))
        limit = min(float(np.quantile(np.concatenate(denials), _RIGHT)), CHANCE)
        denied_above.append((level, round(limit, 3)))
    return Calibration(tuple(sigma), tuple(denied_above))


def supported_factors(n_maps: int = 10, coarse_px: int = 40) -> Factors:
    """The same for maps at their supported resolution, which are the linear estimate's, whoever enhances."""
    factors = []
    for level in LEVELS:
        errors = []
        for truth, _, trust in _judged(LmmseEnhancer(), level, n_maps, coarse_px):
            blurred_truth = blurred(truth, blur_sigma_px(trust.period_nm[0], PIXEL_NM))
            errors.append((np.abs(trust.supported[0] - blurred_truth) / trust.supported_sigma[0])[_INNER].ravel())
        factors.append((level, _factor(errors)))
    return tuple(factors)


def _factor(errors: list[NDArray[np.float32]]) -> float:
    """That makes 1.645 sigma hold nine tenths of these errors over sigma."""
    return round(float(np.quantile(np.concatenate(errors), _COVERED)) / NINETY, 3)


def _judged(
    enhancer: Enhancer, counts: float, n_maps: int, coarse_px: int
) -> Iterator[tuple[Image, EnhancedMaps, Trust]]:
    """The truth, what the enhancer makes of its scan, and what is to be thought of that, without any factors."""
    for index in range(n_maps):
        focus = intensity(random_optics(np.random.default_rng([_SEED, index])))
        probe = Probe.centred(np.sqrt(focus)[None].astype(np.complex64), PIXEL_NM, 10.0, "calibration")
        coarse, truth = scan_of(_drawn, index, probe, counts, coarse_px)
        enhanced = enhancer.enhance(coarse, probe, "fly", SCALE)
        yield truth, enhanced, judge(enhanced, coarse, probe, "fly", supported_factors=())


def _drawn(index: int, side: int) -> Image:
    return draw_image(np.random.default_rng([_SEED, index, 1]), side)
