from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.superres.baselines.least_squares import LeastSquaresEnhancer
from models.superres.baselines.poisson_tv import PoissonTvEnhancer
from models.superres.baselines.readings import CountRule, as_counts, check_readings, typical_counts
from models.superres.baselines.richardson_lucy import RichardsonLucyEnhancer
from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import Enhancer
from models.xrf.maps import ElementMaps

Specimen = Callable[[int, tuple[int, int]], NDArray[np.float32]]
Scan = Callable[[NDArray[np.float32], FlyScanOperator, float, int], NDArray[np.float64]]
BASELINES: tuple[Enhancer, ...] = (
    RichardsonLucyEnhancer(),
    PoissonTvEnhancer(tolerance=3e-2, most_iterations=500),
    LeastSquaresEnhancer(),
)
each_baseline = pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)


def element_maps(readings: NDArray[np.float64], peak_counts: float, step_nm: float = 30.0) -> ElementMaps:
    return ElementMaps(
        elements=("Zn",),
        values=readings[None].astype(np.float32),
        variance=(np.maximum(readings, readings.mean() / 2) / peak_counts)[None].astype(np.float32),
        mask=np.ones(readings.shape, bool),
        pixel_size_nm=step_nm,
        counts_per_unit=np.full(1, peak_counts, np.float32),
    )


def psnr(fine: NDArray[np.float32], truth: NDArray[np.float32], operator: FlyScanOperator) -> float:
    inside = slice(operator.margin_px, -operator.margin_px)
    return float(-10 * np.log10(np.mean((fine - truth[inside, inside]) ** 2)))


@pytest.mark.parametrize(
    ("baseline", "peak_counts", "least_gain_db"),
    [
        (BASELINES[0], 30, 0.5),
        (BASELINES[0], 3000, 1.0),
        (BASELINES[1], 30, 1.0),
        (BASELINES[1], 3000, 2.0),
        (BASELINES[2], 10_000, 0.5),
    ],
    ids=lambda value: value.name if not isinstance(value, int | float) else f"{value:g}",
)
def test_beats_bicubic_at_steps_finer_than_the_probe(
    probe: Probe,
    operator: FlyScanOperator,
    specimen: Specimen,
    scan: Scan,
    baseline: Enhancer,
    peak_counts: float,
    least_gain_db: float,
) -> None:
    gains = []
    for seed in (1000, 1001, 1002):
        truth = specimen(seed, operator.fine_shape)
        coarse = element_maps(scan(truth, operator, peak_counts, seed), peak_counts)
        found, interpolated = (
            psnr(enhancer.enhance(coarse, probe, "fly", 4).values[0], truth, operator)
            for enhancer in (baseline, BicubicEnhancer())
        )
        gains.append(found - interpolated)
    assert np.mean(gains) > least_gain_db


@each_baseline
def test_keeps_the_contract(
    probe: Probe, operator: FlyScanOperator, specimen: Specimen, scan: Scan, baseline: Enhancer
) -> None:
    truth = specimen(1003, operator.fine_shape)
    coarse = element_maps(scan(truth, operator, 100, 1), 100)
    enhanced = baseline.enhance(coarse, probe, "fly", 4)
    assert enhanced.elements == ("Zn",)
    assert enhanced.pixel_size_nm == 7.5
    assert enhanced.values.shape == enhanced.sigma.shape == (1, 64, 80)
    assert enhanced.consistency.shape == (1, 16, 20)
    for field in (enhanced.values, enhanced.sigma, enhanced.consistency):
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
    assert (enhanced.sigma > 0).all()
    assert enhanced.consistency.mean() < 1.5
    with pytest.raises(ValueError, match="scale is 0"):
        baseline.enhance(coarse, probe, "fly", 0)
    with pytest.raises(ValueError, match="Zn was measured at none"):
        baseline.enhance(replace(coarse, mask=np.zeros_like(coarse.mask)), probe, "fly", 4)


@each_baseline
@pytest.mark.parametrize("peak_counts", [30, 3000])
def test_sigma_covers_the_error(
    probe: Probe, operator: FlyScanOperator, specimen: Specimen, scan: Scan, baseline: Enhancer, peak_counts: float
) -> None:
    truth = specimen(1004, operator.fine_shape)
    enhanced = baseline.enhance(element_maps(scan(truth, operator, peak_counts, 2), peak_counts), probe, "fly", 4)
    inside = slice(operator.margin_px, -operator.margin_px)
    within = np.abs(enhanced.values[0] - truth[inside, inside]) / enhanced.sigma[0]
    assert 0.5 < np.mean(within < 1) < 0.95
    assert 0.75 < np.mean(within < 1.64) < 0.99


@each_baseline
def test_masked_points_do_not_influence_the_map(
    probe: Probe, operator: FlyScanOperator, specimen: Specimen, scan: Scan, baseline: Enhancer
) -> None:
    whole = element_maps(scan(specimen(1005, operator.fine_shape), operator, 300, 3), 300)
    mask = whole.mask.copy()
    mask[5:8, 6:9] = False
    mask[:, -1] = False
    first, second = (
        baseline.enhance(replace(whole, mask=mask, values=np.where(mask, whole.values, rubbish)), probe, "fly", 4)
        for rubbish in (np.float32(np.nan), np.float32(1e9))
    )
    assert first.values.tobytes() == second.values.tobytes()
    assert np.isfinite(first.values).all()
    assert first.values.max() < 3
    assert np.isnan(first.consistency[0][~mask]).all()


@each_baseline
def test_a_point_that_failed_and_says_so_has_no_weight(
    probe: Probe, operator: FlyScanOperator, specimen: Specimen, scan: Scan, baseline: Enhancer
) -> None:
    coarse = element_maps(scan(specimen(1006, operator.fine_shape), operator, 300, 4), 300)
    values, variance = coarse.values.copy(), coarse.variance.copy()
    values[0, 7, 7], variance[0, 7, 7] = 50.0, 1e4
    failed = baseline.enhance(replace(coarse, values=values, variance=variance), probe, "fly", 4)
    assert failed.values.max() < 3


@each_baseline
def test_the_map_follows_its_unit(
    probe: Probe, operator: FlyScanOperator, specimen: Specimen, scan: Scan, baseline: Enhancer
) -> None:
    coarse = element_maps(scan(specimen(1007, operator.fine_shape), operator, 100, 5), 100)
    in_other_unit = replace(coarse, values=1000 * coarse.values, variance=1e6 * coarse.variance)
    first, second = (baseline.enhance(maps, probe, "fly", 4).values for maps in (coarse, in_other_unit))
    np.testing.assert_allclose(second / 1000, first, atol=2e-3)


@each_baseline
@pytest.mark.parametrize("variance", [0.0, 0.1])
def test_an_empty_map_stays_empty(probe: Probe, baseline: Enhancer, variance: float) -> None:
    empty = element_maps(np.zeros((7, 9)), 1.0)
    coarse = replace(empty, variance=np.full((1, 7, 9), variance, np.float32))
    enhanced = baseline.enhance(coarse, probe, "fly", 4)
    np.testing.assert_array_equal(enhanced.values, 0)
    assert np.isfinite(enhanced.sigma).all()


@each_baseline
@pytest.mark.parametrize("mean", [0.0, -0.1])
def test_noise_around_nothing_makes_no_specimen(probe: Probe, baseline: Enhancer, mean: float) -> None:
    noise = np.random.default_rng(6).normal(mean, 1, (12, 12))
    coarse = replace(element_maps(np.abs(noise), 1.0), values=noise[None].astype(np.float32))
    values = baseline.enhance(coarse, probe, "fly", 2).values
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 3


@each_baseline
@pytest.mark.parametrize(("shape", "scale"), [((5, 5), 4), ((5, 11), 3), ((1, 6), 2), ((1, 1), 4), ((6, 6), 1)])
def test_small_maps_of_any_shape_come_out_as_bright_as_they_are(
    probe: Probe, baseline: Enhancer, shape: tuple[int, int], scale: int
) -> None:
    readings = np.random.default_rng(7).poisson(100, shape) / 100
    enhanced = baseline.enhance(element_maps(readings, 100, 60.0), probe, "step", scale)
    assert enhanced.values.shape == (1, scale * shape[0], scale * shape[1])
    assert enhanced.values.mean() == pytest.approx(readings.mean(), rel=0.1)


@each_baseline
def test_a_noiseless_map_is_no_division_by_zero(probe: Probe, operator: FlyScanOperator, baseline: Enhancer) -> None:
    smooth = np.ones(operator.fine_shape, np.float32)
    coarse = element_maps(operator.forward(torch.from_numpy(smooth)).numpy().astype(np.float64), 1.0)
    enhanced = baseline.enhance(replace(coarse, variance=np.zeros_like(coarse.variance)), probe, "fly", 4)
    np.testing.assert_allclose(enhanced.values, 1, atol=1e-2)


def test_digests_tell_methods_and_parameters_apart() -> None:
    others = (RichardsonLucyEnhancer(1.1), PoissonTvEnhancer(CountRule(1, -0.5)), LeastSquaresEnhancer(tolerance=1e-3))
    enhancers = (*BASELINES, *others)
    assert len({enhancer.digest for enhancer in enhancers}) == len(enhancers)
    assert RichardsonLucyEnhancer().digest == RichardsonLucyEnhancer().digest


def test_typical_counts_ignore_noise_and_empty_points() -> None:
    rng = np.random.default_rng(8)
    bright = rng.poisson(20, 20_000).astype(float)
    assert typical_counts(bright) == pytest.approx(20, rel=0.02)
    assert typical_counts(np.concatenate([bright, np.zeros(60_000)])) == pytest.approx(20, rel=0.02)
    assert typical_counts(np.zeros(5)) == 1


def test_rules_fall_with_the_counts_and_end_where_they_were_tuned() -> None:
    rule = CountRule(2.0, -0.5)
    assert rule.at(100, 4) == pytest.approx(0.05)
    assert rule.at(0.1, 1) == 2.0
    assert rule.at(1e9, 4) == rule.at(1e5, 4)


def test_readings_that_are_no_counts_or_do_not_fit_are_refused(operator: FlyScanOperator) -> None:
    whole, ones = np.ones(operator.shape, bool), np.ones(operator.shape)
    with pytest.raises(ValueError, match=r"readings of shape \(3, 3\)"):
        check_readings(np.ones((3, 3)), whole, operator)
    with pytest.raises(ValueError, match="mask of shape"):
        check_readings(ones, whole[:3], operator)
    with pytest.raises(ValueError, match="no numbers"):
        check_readings(ones * np.nan, whole, operator)
    with pytest.raises(ValueError, match="False everywhere"):
        check_readings(ones, ~whole, operator)
    with pytest.raises(ValueError, match="clip readings at 0"):
        as_counts(-ones, 1.0, whole, operator)
    with pytest.raises(ValueError, match="counts_per_unit is 0"):
        as_counts(ones, 0.0, whole, operator)
