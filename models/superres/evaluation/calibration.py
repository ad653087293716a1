"""Conformal calibration of an enhancer's sigma, by count level, on maps and probes of no test and no training."""

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.enhancer import CHANCE, Calibration, Enhancer
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, Image, scan_of
from models.superres.pairs.images import draw_image
from models.superres.pairs.probes import intensity, random_optics
from models.superres.trust import blur_sigma_px, blurred, judge

LEVELS = (15.0, 50.0, 150.0, 500.0, 1500.0, 5000.0, 15000.0)
"""Peak counts at which factors are measured; between them they are interpolated on a logarithmic scale."""

NINETY = 1.645
_SEED = 2**30  # training seeds lie below, those of test maps above
_BORDER_PX = 8
_SHARES = {"sigma": 0.9, "supported": 0.9, "denied_above": 0.995}


def calibrate(enhancer: Enhancer, n_maps: int = 10, coarse_px: int = 40) -> Calibration:
    """Measure the factors of an enhancer whose own are 1, on maps and probes of no test and no training.

    With them 1.645 sigma covers the truth in 90 % of the pixels: of the full map, conditional on specimens like these,
    and of the map at its supported resolution.

    Source: split conformal prediction with normalised scores, binned by counts: Lei et al., J. Am. Stat. Assoc. 113
    (2018) 1094.
    """
    tables: dict[str, list[tuple[float, float]]] = {kind: [] for kind in _SHARES}
    for level in LEVELS:
        scores = [_scores(enhancer, index, level, coarse_px) for index in range(n_maps)]
        for (kind, share), own in zip(_SHARES.items(), zip(*scores, strict=True), strict=True):
            quantile = float(np.quantile(np.concatenate(own), share))
            factor = min(quantile, CHANCE) if kind == "denied_above" else quantile / NINETY
            tables[kind].append((level, round(factor, 3)))
    return Calibration(**{kind: tuple(table) for kind, table in tables.items()})


def _scores(
    enhancer: Enhancer, index: int, counts: float, coarse_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Errors over sigma of one map, in full and at its supported resolution, and the size of its denials."""
    focus = intensity(random_optics(np.random.default_rng([_SEED, index])))
    probe = Probe.centred(np.sqrt(focus)[None].astype(np.complex64), PIXEL_NM, 10.0, "calibration")
    coarse, truth = scan_of(_drawn, index, probe, counts, coarse_px)
    enhanced = enhancer.enhance(coarse, probe, "fly", SCALE)
    trust = judge(enhanced, coarse, probe, "fly")
    coarse_truth = blurred(truth, blur_sigma_px(trust.period_nm[0], PIXEL_NM))
    inner = np.s_[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    full = np.abs(enhanced.values[0] - truth)[inner] / enhanced.sigma[0][inner]
    rest = np.abs(trust.supported[0] - coarse_truth)[inner] / trust.supported_sigma[0][inner]
    return full.ravel(), rest.ravel(), np.abs(trust.denial[0][np.isfinite(trust.denial[0])])


def _drawn(index: int, side: int) -> Image:
    return draw_image(np.random.default_rng([_SEED, index, 1]), side)
