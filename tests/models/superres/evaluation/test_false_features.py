"""Invented grains are counted, blur and gaps are not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.superres.evaluation.false_features import false_features_per_um2
from models.superres.evaluation.held_out import xrf_like

PIXEL_NM = 7.5


def _disc(y: float, x: float) -> np.ndarray:
    rows, columns = np.indices((160, 160))
    return np.clip(3.03 - np.hypot(rows - y, columns - x), 0, 1).astype(np.float32)


def test_every_invented_grain_counts_once_and_faint_ones_do_not() -> None:
    truth = 0.5 * xrf_like(0, 160)
    area_um2 = (160 * PIXEL_NM / 1000) ** 2
    invented = sum(0.3 * _disc(y, x) for y in (30, 80, 130) for x in (40, 110))
    assert false_features_per_um2(truth + invented, truth, PIXEL_NM) == pytest.approx(6 / area_um2)
    assert false_features_per_um2(truth + 0.3 * invented, truth, PIXEL_NM) == 0


def test_what_is_missing_is_no_false_feature() -> None:
    truth = xrf_like(0, 160)
    assert false_features_per_um2(truth, truth, PIXEL_NM) == 0
    assert false_features_per_um2(truth - 0.3 * _disc(80, 80), truth, PIXEL_NM) == 0
    smooth = gaussian_filter(truth, 20)
    assert false_features_per_um2(gaussian_filter(smooth, 2), smooth, PIXEL_NM) == 0
