from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.probe import Probe, gaussian_probe
from models.superres.coarse import CoarseMap, coarse_maps
from models.superres.consistency import consistency, denial, expected_square
from models.superres.evaluation.held_out import scan_of, xrf_like
from models.superres.lmmse import LmmseEnhancer
from models.xrf.maps import ElementMaps

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]
FineTruth = Callable[[NDArray[np.float32], float], NDArray[np.float32]]


@pytest.mark.parametrize("step_nm", [30, 60, 120])
def test_the_truth_explains_its_measurement_with_chi_squared_near_one(
    truths: Truths, measure: Measure, fine_truth: FineTruth, probe: Probe, step_nm: int
) -> None:
    truth = truths["dead-leaves"]
    chi_squared = consistency(fine_truth(truth, step_nm / 4), measure(truth, step_nm, 300), probe, "fly", 4)
    inner = chi_squared[:, 4:-4, 4:-4]  # beyond the border the truth is continued by its edge
    assert inner.mean() == pytest.approx(1, abs=0.12)
    assert np.quantile(inner, 0.99) < 3


def test_a_planted_disc_is_seen_where_it_stands(truths: Truths, measure: Measure, probe: Probe) -> None:
    coarse = measure(truths["nmc-particle"], 60, 500)
    values = LmmseEnhancer().enhance(coarse, probe, "fly", 4).values
    before = consistency(values, coarse, probe, "fly", 4)
    y, x = np.indices(values.shape[1:])
    disc = np.hypot(y - (4 * 20 + 1.5), x - (4 * 20 + 1.5)) < 4  # 120 nm across
    after = consistency(values + np.where(disc, 0.3 * values.max(), 0).astype(np.float32), coarse, probe, "fly", 4)
    assert before[:, 2:-2, 2:-2].max() < 5
    assert after[0, 19:22, 19:22].min() > 4
    assert after[0, 19:22, 19:22].min() > 5 * before[0, 19:22, 19:22].max()
    far = np.ones(coarse.mask.shape, bool)
    far[12:29, 12:29] = False
    np.testing.assert_allclose(after[:, far], before[:, far], rtol=0.05, atol=0.01)


def test_a_grain_as_small_as_the_probe_is_denied_where_it_stands(probe: Probe) -> None:
    """38 nm across and 0.3 of the peak high, at 300 counts: too faint for chi^2, not for the signed residual."""
    coarse, _ = scan_of(xrf_like, 0, probe, 300, 32)
    values = LmmseEnhancer().enhance(coarse, probe, "fly", 4).values
    before = denial(values, coarse, probe, "fly", 4)
    y, x = np.indices(values.shape[1:])
    grain = np.where(np.hypot(y - 61.5, x - 65.5) < 2.53, 0.3, 0).astype(np.float32)
    after = denial(values + grain, coarse, probe, "fly", 4)
    assert np.nanmax(np.abs(before)) < 2.2
    assert np.nanmin(after[0, 14:17, 15:18]) < -2.4


def test_the_truth_is_denied_as_rarely_as_chance_has_it(probe: Probe) -> None:
    coarse, truth = scan_of(xrf_like, 1, probe, 30, 40)
    inner = denial(truth[None], coarse, probe, "fly", 4)[:, 4:-4, 4:-4]
    assert np.std(inner) == pytest.approx(1, abs=0.12)
    assert np.mean(np.abs(inner) > 2.81) < 0.015


@pytest.mark.parametrize("counts", [0.5, 1.0, 3.0, 20.0])
def test_expected_square_is_that_of_poisson_counts(counts: float) -> None:
    drawn = np.random.default_rng(1).poisson(counts, (300, 300)).astype(np.float32)
    maps = ElementMaps(
        elements=("X",),
        values=drawn[None],
        variance=np.maximum(drawn, 1)[None],
        mask=np.ones(drawn.shape, bool),
        pixel_size_nm=30.0,
        counts_per_unit=np.ones(1, np.float32),
    )
    element: CoarseMap = next(coarse_maps(maps))
    usual = expected_square(element, np.full(drawn.shape, counts), 1.0)
    assert np.mean((element.values - counts) ** 2 / element.variance) == pytest.approx(usual.mean(), rel=0.02)


def test_the_wrong_probe_is_noticed(truths: Truths, measure: Measure, fine_truth: FineTruth) -> None:
    truth = truths["dead-leaves"]
    coarse = measure(truth, 60, 5000)
    wrong = consistency(fine_truth(truth, 15.0), coarse, gaussian_probe(90), "fly", 4)
    assert np.mean(wrong) > 3


def test_unmeasured_points_are_nan_and_do_not_count(
    truths: Truths, measure: Measure, fine_truth: FineTruth, probe: Probe
) -> None:
    truth = truths["dead-leaves"]
    coarse = measure(truth, 120, 300)
    mask = coarse.mask.copy()
    mask[10:12, 10:12] = False
    broken = replace(coarse, mask=mask, values=np.where(mask, coarse.values, np.float32(1e6)))
    chi_squared = consistency(fine_truth(truth, 30.0), broken, probe, "fly", 4)
    assert np.isnan(chi_squared[:, ~mask]).all()
    assert chi_squared[:, mask].max() < 5


def test_maps_of_the_wrong_size_are_refused(truths: Truths, measure: Measure, probe: Probe) -> None:
    with pytest.raises(ValueError, match="shape"):
        consistency(np.zeros((1, 50, 50), np.float32), measure(truths["dead-leaves"], 120, 300), probe, "fly", 4)
