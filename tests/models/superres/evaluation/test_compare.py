"""Comparisons are fair: the same noise for all, and figures that say what they claim."""

import numpy as np
import pytest

from models.superres.bicubic import BicubicEnhancer
from models.superres.evaluation.compare import Plan, compare, correlation_period_nm, paired_gain
from models.superres.evaluation.held_out import held_out_probe, xrf_like
from models.superres.lmmse import LmmseEnhancer


@pytest.fixture(scope="module")
def plan() -> Plan:
    enhancers = {"bicubic": BicubicEnhancer(), "twin": BicubicEnhancer(), "lmmse": LmmseEnhancer()}
    return Plan(enhancers, {"A": held_out_probe("A")}, (3000.0,), {"xrf-like": xrf_like}, n_maps=2, coarse_px=20)


def test_the_same_enhancer_twice_has_no_gain_and_lmmse_beats_bicubic(plan: Plan) -> None:
    results = list(compare(plan))
    assert len(results) == len(plan) == 6
    rng = np.random.default_rng(0)
    assert paired_gain(results, "twin", "bicubic", rng) == (0, 0, 0)
    gain, low, high = paired_gain(results, "lmmse", "bicubic", rng)
    assert low <= gain <= high
    assert gain > 0.3
    assert all(0 < result.coverage <= 1 and abs(result.flux_bias) < 0.2 for result in results)


def test_no_common_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="no map in common"):
        paired_gain([], "lmmse", "bicubic", np.random.default_rng(0))


def test_correlation_period_is_the_cut_off_of_a_filtered_map() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(128, 128)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None, :])
    other = np.fft.rfft2(rng.normal(size=(128, 128)))
    mixed = np.where(frequency < 0.2, np.fft.rfft2(truth), other)
    estimate = np.fft.irfft2(mixed, (128, 128)).astype(np.float32)
    assert correlation_period_nm(estimate, truth) == pytest.approx(7.5 / 0.2, rel=0.06)
    assert correlation_period_nm(truth, truth) == 15.0
