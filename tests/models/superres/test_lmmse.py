from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe, gaussian_probe
from models.superres.bicubic import BicubicEnhancer
from models.superres.lmmse import LmmseEnhancer
from models.superres.spectra import scan_spectra
from models.xrf.maps import ElementMaps

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]
FineTruth = Callable[[NDArray[np.float32], float], NDArray[np.float32]]


def element_maps(values: NDArray[np.floating], variance: float, step_nm: float) -> ElementMaps:
    return ElementMaps(
        elements=("Zn",),
        values=values[None].astype(np.float32),
        variance=np.full((1, *values.shape), variance, np.float32),
        mask=np.ones(values.shape, bool),
        pixel_size_nm=step_nm,
        counts_per_unit=np.ones(1, np.float32),
    )


def rms(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.sqrt(np.mean(values.astype(np.float64) ** 2, axis=(1, 2)))


@pytest.mark.parametrize("specimen", ["nmc-particle", "dead-leaves"])
@pytest.mark.parametrize(
    ("step_nm", "peak_counts", "least_gain_db"),
    [(30, 50, 0.8), (30, 500, 0.6), (30, 5000, 0.8), (60, 50, 0.3), (60, 5000, 0.2), (120, 50, 0.1), (120, 5000, 0.1)],
)
def test_beats_bicubic_at_every_step_and_count(
    truths: Truths,
    measure: Measure,
    fine_truth: FineTruth,
    probe: Probe,
    specimen: str,
    step_nm: int,
    peak_counts: float,
    least_gain_db: float,
) -> None:
    coarse = measure(truths[specimen], step_nm, peak_counts)
    truth = fine_truth(truths[specimen], step_nm / 4)
    errors = [
        rms(enhancer.enhance(coarse, probe, "fly", 4).values - truth)
        for enhancer in (BicubicEnhancer(), LmmseEnhancer())
    ]
    assert (20 * np.log10(errors[0] / errors[1]) > least_gain_db).all()


@pytest.mark.parametrize("uneven", [False, True], ids=["round probe", "uneven probe"])
@pytest.mark.parametrize(("step_nm", "scale"), [(40.0, 4), (40.0, 3), (50.0, 4)])
def test_a_blob_is_found_where_it_stands_to_a_tenth_of_a_fine_pixel(step_nm: float, scale: int, uneven: bool) -> None:
    lobe = gaussian_probe(40).modes[0]
    modes = (lobe + 0.6 * np.roll(lobe, (2, 5), axis=(0, 1)))[None] if uneven else lobe[None]
    probe = Probe.centred(modes, 7.5, 10.0).resampled(step_nm / (2 * scale))
    operator = FlyScanOperator(probe, (16, 18), 2 * scale, "fly")
    y, x = (np.arange(side) - operator.margin_px for side in operator.fine_shape)
    place = (2 * scale * 7.3, 2 * scale * 9.8)  # probe pixels; their centres are whole numbers
    width = 45 / probe.pixel_size_nm
    blob = np.exp(-((y[:, None] - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * width**2)).astype(np.float32)
    coarse = element_maps(operator.forward(torch.from_numpy(blob)).numpy(), 1e-6, step_nm)
    found = LmmseEnhancer().enhance(coarse, probe, "fly", scale).values[0]
    weight = np.where(found > 0.1, found, 0)
    rows, columns = np.indices(found.shape)
    centroid = np.sum(rows * weight) / weight.sum(), np.sum(columns * weight) / weight.sum()
    assert centroid == pytest.approx(((place[0] - 0.5) / 2, (place[1] - 0.5) / 2), abs=0.1)


def test_keeps_the_mean_of_the_map(truths: Truths, measure: Measure, probe: Probe) -> None:
    coarse = measure(truths["nmc-particle"], 60, 500)
    values = LmmseEnhancer().enhance(coarse, probe, "fly", 4).values
    assert values.mean(axis=(1, 2)) == pytest.approx(coarse.values.mean(axis=(1, 2)), rel=2e-3)


def test_the_same_input_gives_the_same_bytes_with_and_without_cached_spectra(
    truths: Truths, measure: Measure, probe: Probe
) -> None:
    coarse = measure(truths["nmc-particle"], 120, 500)
    first = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    scan_spectra.cache_clear()
    second = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    assert first.values.tobytes() == second.values.tobytes()
    assert first.sigma.tobytes() == second.sigma.tobytes()


def test_what_stands_in_masked_points_never_matters_and_their_sigma_grows(
    truths: Truths, measure: Measure, probe: Probe
) -> None:
    whole = measure(truths["nmc-particle"], 60, 5000)
    mask = whole.mask.copy()
    mask[28:31, 30:33] = False
    mask[10, 5] = False
    mask[35, 20:] = False
    rubbish = np.where(mask, whole.values, np.float32(1e9))
    holes = [
        replace(whole, mask=mask, values=np.where(mask, whole.values, np.nan)),
        replace(whole, mask=mask, values=rubbish),
    ]
    (first, second), complete = (
        [LmmseEnhancer().enhance(maps, probe, "fly", 4) for maps in holes],
        LmmseEnhancer().enhance(whole, probe, "fly", 4),
    )
    assert first.values.tobytes() == second.values.tobytes()
    assert first.sigma.tobytes() == second.sigma.tobytes()
    assert np.isfinite(first.values).all()
    assert np.isfinite(first.sigma).all()
    hidden = np.repeat(np.repeat(~mask, 4, axis=0), 4, axis=1)
    assert np.median(first.sigma[:, hidden] / complete.sigma[:, hidden]) > 1.5
    assert np.isnan(first.consistency[:, ~mask]).all()


def test_an_element_not_a_number_at_a_measured_point_counts_as_missing_there(
    truths: Truths, measure: Measure, probe: Probe
) -> None:
    coarse = measure(truths["nmc-particle"], 120, 500)
    values = coarse.values.copy()
    values[0, 10, 10] = np.nan
    enhanced = LmmseEnhancer().enhance(replace(coarse, values=values), probe, "fly", 4)
    assert np.isfinite(enhanced.values).all()
    assert np.isnan(enhanced.consistency[0, 10, 10])
    assert np.isfinite(enhanced.consistency[1]).all()


def test_sigma_follows_the_error_into_a_noisier_half(
    truths: Truths, measure: Measure, fine_truth: FineTruth, probe: Probe
) -> None:
    coarse = measure(truths["nmc-particle"], 60, 500)
    variance = coarse.variance.copy()
    variance[:, :, 20:] *= 25
    noise = np.random.default_rng(4).normal(size=variance.shape) * np.sqrt(variance - coarse.variance)
    noisy = replace(coarse, values=(coarse.values + noise).astype(np.float32), variance=variance)
    enhanced = LmmseEnhancer().enhance(noisy, probe, "fly", 4)
    error = enhanced.values - fine_truth(truths["nmc-particle"], 15.0)
    for half in (np.s_[:, :, :72], np.s_[:, :, 88:]):
        np.testing.assert_allclose(rms(error[half]) / rms(enhanced.sigma[half]), 1, atol=0.5)
    assert (rms(enhanced.sigma[:, :, 88:]) > 1.3 * rms(enhanced.sigma[:, :, :72])).all()


def test_a_point_that_failed_and_says_so_is_worth_no_more_than_a_missing_one(
    truths: Truths, measure: Measure, probe: Probe
) -> None:
    coarse = measure(truths["nmc-particle"], 60, 500)
    values, variance, mask = coarse.values.copy(), coarse.variance.copy(), coarse.mask.copy()
    values[:, 28, 31] += 1e3 * np.sqrt(variance[:, 28, 31])
    variance[:, 28, 31] *= 1e6
    mask[28, 31] = False
    failed = LmmseEnhancer().enhance(replace(coarse, values=values, variance=variance), probe, "fly", 4)
    missing = LmmseEnhancer().enhance(replace(coarse, mask=mask), probe, "fly", 4)
    difference = np.abs(failed.values - missing.values) / missing.sigma
    assert difference.max() < 0.3
    np.testing.assert_allclose(failed.sigma[:, 112:116, 124:128], missing.sigma[:, 112:116, 124:128], rtol=0.1)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_map_stays_constant(probe: Probe, value: float) -> None:
    for variance in (0.0, 0.01):
        enhanced = LmmseEnhancer().enhance(element_maps(np.full((9, 5), value), variance, 90.0), probe, "fly", 3)
        np.testing.assert_allclose(enhanced.values, value, atol=1e-3)
        assert np.isfinite(enhanced.sigma).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (3, 2)])
def test_the_smallest_maps_are_enhanced_too(probe: Probe, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(5).uniform(1, 2, shape)
    enhanced = LmmseEnhancer().enhance(element_maps(values, 0.01, 120.0), probe, "step", 4)
    assert enhanced.values.shape == (1, 4 * shape[0], 4 * shape[1])
    assert enhanced.pixel_size_nm == 30.0
    assert np.isfinite(enhanced.values).all()


def test_pure_noise_is_flattened(probe: Probe) -> None:
    noise = np.random.default_rng(6).normal(10, 1, (40, 40))
    enhanced = LmmseEnhancer().enhance(element_maps(noise, 1.0, 60.0), probe, "fly", 4)
    assert enhanced.values.std() < 0.25
