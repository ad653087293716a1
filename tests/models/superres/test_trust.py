"""What is said about an enhanced map follows counts, probe and null space."""

from dataclasses import replace

import numpy as np
import pytest

from models.physics.probe import Probe, gaussian_probe
from models.superres.coarse import coarse_maps
from models.superres.evaluation.held_out import NOISELESS, scan_of, stripes, xrf_like
from models.superres.lmmse import LmmseEnhancer
from models.superres.spectra import scan_spectra
from models.superres.trust import blurred, judge, support
from models.superres.wiener import estimate
from models.xrf.maps import ElementMaps


@pytest.fixture(scope="module")
def probe() -> Probe:
    return gaussian_probe(40.0, n=64)


def _period(maps: ElementMaps, probe: Probe) -> float:
    element = next(coarse_maps(maps))
    result = estimate(element, scan_spectra(probe, element.values.shape, 30.0, 4, "fly"))
    return support(result, element, probe, 30.0, 4, "fly").period_nm


def test_more_counts_support_finer_structure_down_to_the_sampling(probe: Probe) -> None:
    periods = [_period(scan_of(xrf_like, 0, probe, counts, 32)[0], probe) for counts in (30, 300, 3000, NOISELESS)]
    assert periods == sorted(periods, reverse=True)
    assert 40 < periods[-1] < 90
    assert periods[0] > 1.5 * periods[-1]


def test_a_wider_probe_supports_less(probe: Probe) -> None:
    wide = gaussian_probe(80.0, n=64)
    narrow_period, wide_period = (_period(scan_of(xrf_like, 1, p, 3000, 32)[0], p) for p in (probe, wide))
    assert wide_period > 1.2 * narrow_period


def test_stripes_beyond_the_cut_off_are_in_the_null_space(probe: Probe) -> None:
    coarse, truth = scan_of(stripes, 0, probe, NOISELESS, 32)
    enhanced = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    believed = judge(enhanced, coarse, probe, "fly")
    invented = judge(replace(enhanced, values=truth[None]), coarse, probe, "fly")
    assert np.median(believed.null_share) < 0.05
    assert np.median(invented.null_share) > 0.3


def test_supported_map_is_surer_and_holds_the_truth_more_often(probe: Probe) -> None:
    coarse, truth = scan_of(stripes, 1, probe, 3000, 32)
    enhanced = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    trust = judge(enhanced, coarse, probe, "fly")
    sigma_px = trust.period_nm[0] / 2 / 2.3548 / 7.5
    error = np.abs(trust.supported[0] - blurred(truth, sigma_px))
    assert np.mean(error < 1.645 * trust.supported_sigma[0]) > 0.85
    assert trust.supported_sigma.mean() < enhanced.sigma.mean()


def test_flags_name_what_is_wrong_and_nothing_else(probe: Probe) -> None:
    coarse, _ = scan_of(xrf_like, 0, probe, 3000, 24)
    enhanced = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    assert judge(enhanced, coarse, probe, "fly").flags == ((),)
    faint, _ = scan_of(xrf_like, 0, probe, 5, 24)
    assert "counts low" in judge(LmmseEnhancer().enhance(faint, probe, "fly", 4), faint, probe, "fly").flags[0][0]
    mask = coarse.mask.copy()
    mask[:4] = False
    holed = replace(coarse, mask=mask)
    assert judge(enhanced, holed, probe, "fly").flags == (("17% of the points are missing",),)
    shifted = replace(enhanced, values=np.roll(enhanced.values, 12, axis=-1))
    spoilt = replace(shifted, consistency=np.full_like(enhanced.consistency, 4.0))
    assert "chi^2 high: 4.0" in judge(spoilt, coarse, probe, "fly").flags[0][0]


def test_factors_scale_the_supported_sigma(probe: Probe) -> None:
    coarse, _ = scan_of(xrf_like, 0, probe, 300, 16)
    enhanced = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    plain, halved = (
        judge(enhanced, coarse, probe, "fly", supported_factors=factors) for factors in ((), ((1.0, 0.5), (1e6, 0.5)))
    )
    np.testing.assert_allclose(halved.supported_sigma, 0.5 * plain.supported_sigma, rtol=1e-5)
