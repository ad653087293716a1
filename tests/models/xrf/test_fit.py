from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.counting import sample_i0, sample_spectra
from models.physics.fluorescence import SpectrumModel, Surroundings, spectrum_model
from models.run_schema import XrfDetector
from models.xrf.fit import MapFit
from models.xrf.maps import ElementMaps

NINE = ("Ca", "Ti", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn")
SHARES = np.array(
    [1.0, 0.3, 0.1, 1.0, 0.5, 0.2, 0.4, 1.0, 0.7]
)  # of the line counts: Cr ten times weaker than Mn beside it
DETECTOR = XrfDetector(n_channels=2048, energy_gain_kev=0.008, dead_time_s=0.0)
ENERGY_KEV = 12.0
I0_NOMINAL = 1000.0
DWELL_S = 0.02
PHOTONS = I0_NOMINAL * DETECTOR.photons_per_i0_count


@pytest.fixture(scope="module")
def nine() -> SpectrumModel:
    """On a window thin enough that few counts are not all its scatter."""
    return spectrum_model(NINE, DETECTOR, ENERGY_KEV, Surroundings(substrate_ug_cm2=10.0))


def nine_element_truth(model: SpectrumModel, shape: tuple[int, int], counts: float) -> NDArray[np.float64]:
    """Areal densities (y, x, element) whose spectra have the given mean counts, uneven from point to point."""
    uneven = np.random.default_rng(11).uniform(0.5, 1.5, (*shape, len(NINE))) * SHARES / model.templates.sum(axis=1)
    counts_per_density = PHOTONS * (model.templates + model.background).sum(axis=1)
    of_specimen = counts - PHOTONS * float(model.substrate.sum())
    return np.asarray(uneven * of_specimen / (uneven @ counts_per_density).mean())


def fit_maps(fit: MapFit, spectra: NDArray[np.generic], **changes: object) -> ElementMaps:
    """Fit with a live detector and a steady beam, unless told otherwise."""
    measured = spectra.shape[:3]
    given = {
        "live_time_s": np.full(measured, DWELL_S),
        "real_time_s": np.full(measured, DWELL_S),
        "i0": np.full(measured[:2], I0_NOMINAL),
        "i0_nominal": I0_NOMINAL,
        "dwell_s": DWELL_S,
        "shape": measured[:2],
        "pixel_size_nm": 120.0,
    }
    return fit.fit(spectra, **(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("counts", "largest_bias"), [(2500.0, 0.01), (250.0, 0.03)])
def test_mean_of_each_of_nine_elements_is_unbiased(nine: SpectrumModel, counts: float, largest_bias: float) -> None:
    truth = nine_element_truth(nine, (100, 100), counts)
    expected = nine.expected_counts(truth, PHOTONS)
    spectra, _, _ = sample_spectra(expected, DWELL_S, DETECTOR, np.random.default_rng(12))
    assert spectra.sum(axis=-1).mean() == pytest.approx(counts, rel=0.01)
    maps = fit_maps(MapFit(NINE, DETECTOR, ENERGY_KEV), spectra)
    bias = maps.values.mean(axis=(1, 2)) / truth.mean(axis=(0, 1)) - 1
    assert np.abs(bias).max() < largest_bias


def test_one_per_mille_of_gain_error_biases_even_the_weakest_by_less_than_six_per_cent(nine: SpectrumModel) -> None:
    truth = nine_element_truth(nine, (5, 5), 2500.0)
    expected = nine.expected_counts(truth, PHOTONS)[:, :, None]
    mistaken = replace(DETECTOR, energy_gain_kev=DETECTOR.energy_gain_kev * 1.001)
    maps = fit_maps(MapFit(NINE, mistaken, ENERGY_KEV), expected)
    bias = maps.values.mean(axis=(1, 2)) / truth.mean(axis=(0, 1)) - 1
    assert np.abs(bias).max() < 0.06
    assert np.abs(bias[SHARES >= 0.5]).max() < 0.02


def test_reported_variance_is_the_scatter_of_repeated_measurements(nine: SpectrumModel) -> None:
    one = nine_element_truth(nine, (1, 1), 2500.0)
    expected = nine.expected_counts(one, PHOTONS)
    repeated = np.broadcast_to(expected, (100, 100, DETECTOR.n_channels))
    spectra, _, _ = sample_spectra(repeated, DWELL_S, DETECTOR, np.random.default_rng(13))
    maps = fit_maps(MapFit(NINE, DETECTOR, ENERGY_KEV), spectra)
    np.testing.assert_allclose(maps.variance.mean(axis=(1, 2)), maps.values.var(axis=(1, 2)), rtol=0.05)


def test_an_absent_element_has_noise_of_zero_mean_and_is_not_clipped() -> None:
    model = spectrum_model(("Fe", "Zn"), DETECTOR, ENERGY_KEV)
    expected = model.expected_counts(np.full((60, 60, 2), 3.0), PHOTONS)
    spectra, _, _ = sample_spectra(expected, DWELL_S, DETECTOR, np.random.default_rng(14))
    cobalt = fit_maps(MapFit(("Fe", "Co", "Zn"), DETECTOR, ENERGY_KEV), spectra).values[1]
    assert abs(cobalt.mean()) < 4 * cobalt.std() / 60
    assert 0.4 < (cobalt < 0).mean() < 0.6


def test_dead_time_flicker_and_four_elements_recover_the_truth() -> None:
    detector = replace(DETECTOR, n_detectors=4, dead_time_s=4e-7)
    model = spectrum_model(("Mn", "Zn"), detector, ENERGY_KEV)
    truth = np.linspace(50.0, 500.0, 40 * 40 * 2).reshape(40, 40, 2)
    rng = np.random.default_rng(15)
    beam, i0 = sample_i0(I0_NOMINAL, (40, 40), 0.1, rng)
    expected = model.expected_counts(truth, beam * detector.photons_per_i0_count)
    spectra, live_s, real_s = sample_spectra(expected, DWELL_S, detector, rng)
    assert (live_s / real_s).min() < 0.8
    fit = MapFit(("Mn", "Zn"), detector, ENERGY_KEV)
    maps = fit_maps(fit, spectra, live_time_s=live_s, real_time_s=real_s, i0=i0)
    relative = maps.values / np.moveaxis(truth, -1, 0) - 1
    np.testing.assert_allclose(relative.mean(axis=(1, 2)), 0, atol=0.005)


def test_elements_of_a_detector_count_as_their_sum_also_with_different_live_times() -> None:
    detector = replace(DETECTOR, n_detectors=4)
    spectra = np.random.default_rng(16).poisson(5.0, (3, 3, 4, DETECTOR.n_channels)).astype(np.uint16)
    live_s = np.broadcast_to(DWELL_S * np.array([1.0, 0.5, 0.8, 0.9]), (3, 3, 4))
    together = fit_maps(MapFit(("Fe", "Zn"), detector, ENERGY_KEV), spectra, live_time_s=live_s)
    summed = (spectra / live_s[..., None] * DWELL_S).sum(axis=2, keepdims=True)
    alone = fit_maps(MapFit(("Fe", "Zn"), DETECTOR, ENERGY_KEV), summed)
    np.testing.assert_allclose(together.values, alone.values / 4, rtol=1e-3, atol=1e-3 * np.abs(alone.values).max())
    np.testing.assert_allclose(together.counts_per_unit, 4 * alone.counts_per_unit, rtol=1e-6)


@pytest.fixture
def two_by_three() -> NDArray[np.uint32]:
    """Spectra (2, 3, detector 2, channel) of a thin film."""
    detector = replace(DETECTOR, n_detectors=2)
    model = spectrum_model(("Fe", "Zn"), detector, ENERGY_KEV)
    expected = model.expected_counts(np.full((2, 3, 2), 500.0), PHOTONS)
    return sample_spectra(expected, DWELL_S, detector, np.random.default_rng(17))[0]


@pytest.fixture
def pair_fit() -> MapFit:
    return MapFit(("Fe", "Zn"), replace(DETECTOR, n_detectors=2), ENERGY_KEV)


def test_points_without_live_time_or_monitor_are_masked_and_nothing_else(
    pair_fit: MapFit, two_by_three: NDArray[np.uint32]
) -> None:
    live_s = np.full((2, 3, 2), DWELL_S)
    live_s[0, 0] = np.nan
    i0 = np.array([[I0_NOMINAL, np.nan, 0.0], [I0_NOMINAL, -1.0, I0_NOMINAL]])
    maps = fit_maps(pair_fit, two_by_three, live_time_s=live_s, i0=i0)
    expected = np.array([[False, False, False], [True, False, True]])
    np.testing.assert_array_equal(maps.mask, expected)
    np.testing.assert_array_equal(np.isfinite(maps.values), np.broadcast_to(expected, (2, 2, 3)))
    np.testing.assert_array_equal(np.isfinite(maps.variance), np.broadcast_to(expected, (2, 2, 3)))
    undisturbed = fit_maps(pair_fit, two_by_three)
    np.testing.assert_allclose(maps.values[:, expected], undisturbed.values[:, expected], rtol=1e-6)


def test_a_dead_detector_element_costs_precision_and_no_bias(
    pair_fit: MapFit, two_by_three: NDArray[np.uint32]
) -> None:
    live_s = np.full((2, 3, 2), DWELL_S)
    live_s[..., 1] = 0.0
    half, both = fit_maps(pair_fit, two_by_three, live_time_s=live_s), fit_maps(pair_fit, two_by_three)
    assert (np.abs(half.values - 500.0) / np.sqrt(half.variance)).max() < 4
    np.testing.assert_allclose(half.variance, 2 * both.variance, rtol=0.05)


def test_a_spectrum_with_nan_is_left_out(pair_fit: MapFit, two_by_three: NDArray[np.uint32]) -> None:
    spectra = two_by_three.astype(np.float32)
    spectra[1, 2, :, 900] = np.nan
    maps = fit_maps(pair_fit, spectra)
    assert not maps.mask[1, 2]
    assert maps.mask.sum() == 5


def test_missing_rows_and_points_are_masked(pair_fit: MapFit, two_by_three: NDArray[np.uint32]) -> None:
    maps = fit_maps(pair_fit, two_by_three, shape=(4, 5))
    assert maps.values.shape == (2, 4, 5)
    assert maps.mask[:2, :3].all()
    assert maps.mask.sum() == 6
    assert np.isnan(maps.values[:, ~maps.mask]).all()


def test_a_scan_cut_before_its_first_row_gives_an_empty_mask(
    pair_fit: MapFit, two_by_three: NDArray[np.uint32]
) -> None:
    assert not fit_maps(pair_fit, two_by_three[:0], shape=(2, 3)).mask.any()


def test_an_empty_spectrum_is_not_certain(pair_fit: MapFit, two_by_three: NDArray[np.uint32]) -> None:
    maps = fit_maps(pair_fit, np.zeros_like(two_by_three))
    assert not maps.values.any()
    assert (maps.variance > 0).all()


def test_counts_of_any_type_give_the_same_maps(pair_fit: MapFit, two_by_three: NDArray[np.uint32]) -> None:
    reference = fit_maps(pair_fit, two_by_three)
    for kind in (np.uint16, np.int64, np.float32, np.float64):
        np.testing.assert_array_equal(fit_maps(pair_fit, two_by_three.astype(kind)).values, reference.values)


def test_without_real_times_the_dwell_stands_for_them(pair_fit: MapFit, two_by_three: NDArray[np.uint32]) -> None:
    live_s = np.full((2, 3, 2), DWELL_S / 2)
    maps = fit_maps(pair_fit, two_by_three, live_time_s=live_s, real_time_s=None)
    np.testing.assert_allclose(maps.values, 2 * fit_maps(pair_fit, two_by_three).values, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"live_time_s": np.ones((2, 3))}, r"live_time_s has shape \(2, 3\): \(2, 3, 2\)"),
        ({"real_time_s": np.ones((2, 3, 1))}, "real_time_s has shape"),
        ({"i0": np.ones(6)}, "i0 has shape"),
        ({"i0_nominal": 0.0}, "i0_nominal is 0.0: pass"),
        ({"shape": (2, 2)}, r"more than the \(2, 2\) asked for"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    pair_fit: MapFit, two_by_three: NDArray[np.uint32], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_maps(pair_fit, two_by_three, **changes)


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        (np.zeros((2, 3, 2, 100), np.uint32), "2 detectors of 2048 channels"),
        (np.zeros((2, 3, 2048), np.uint32), "row, point, detector, channel"),
        (np.zeros((2, 3, 2, 2048), complex), "pass counts as integers or floats"),
    ],
)
def test_spectra_of_another_detector_are_refused(pair_fit: MapFit, spectra: NDArray[np.generic], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_fit.fit(
            spectra,
            live_time_s=np.ones((2, 3, 2)),
            i0=np.ones((2, 3)),
            i0_nominal=1.0,
            dwell_s=1.0,
            real_time_s=np.ones((2, 3, 2)),
            shape=(2, 3),
            pixel_size_nm=1.0,
        )
