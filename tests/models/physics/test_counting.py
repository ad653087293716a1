from dataclasses import replace

import numpy as np
import pytest

from models.physics.counting import live_fraction, sample_i0, sample_spectra
from models.run_schema import XrfDetector

DETECTOR = XrfDetector(n_detectors=4, n_channels=64, dead_time_s=0.0)


def test_live_fraction_falls_from_one_to_the_reciprocal_of_rate_times_dead_time() -> None:
    np.testing.assert_allclose(live_fraction([0.0, 2.5e6, 2.5e12], 4e-7), [1.0, 0.5, 1e-6], rtol=1e-5)


def test_counts_over_live_time_recover_the_input_rate() -> None:
    detector = replace(DETECTOR, dead_time_s=4e-7)
    expected = np.full((500, 64), 200.0)
    counts, live_s, real_s = sample_spectra(expected, 0.01, detector, np.random.default_rng(1))
    assert (live_s / real_s).mean() == pytest.approx(1 / (1 + 64 * 200 / 0.01 * 4e-7), rel=1e-5)
    recovered = counts.sum(axis=-1) * real_s / live_s
    assert recovered.mean() == pytest.approx(64 * 200, rel=5 * (64 * 200 * 2000) ** -0.5)


def test_counts_are_poisson_and_detector_elements_independent() -> None:
    counts, _, _ = sample_spectra(np.full((2000, 64), 3.0), 0.01, DETECTOR, np.random.default_rng(2))
    assert counts.dtype == np.uint32
    assert counts.var() == pytest.approx(3.0, rel=0.02)
    correlation = np.corrcoef(counts.transpose(1, 0, 2).reshape(4, -1)) - np.eye(4)
    assert np.abs(correlation).max() < 0.02


def test_channels_without_expectation_stay_empty() -> None:
    expected = np.zeros((10, 64))
    expected[:, 20:30] = 50.0
    counts, _, _ = sample_spectra(expected, 0.01, DETECTOR, np.random.default_rng(3))
    assert not counts[..., :20].any()
    assert not counts[..., 30:].any()
    assert counts[..., 20:30].all()


def test_nothing_in_the_beam_gives_empty_spectra_with_full_live_time() -> None:
    counts, live_s, real_s = sample_spectra(np.zeros((2, 64)), 0.01, DETECTOR, np.random.default_rng(4))
    assert not counts.any()
    np.testing.assert_array_equal(live_s, real_s)


def test_the_same_seed_counts_the_same() -> None:
    first, second = (sample_spectra(np.ones((5, 64)), 0.01, DETECTOR, np.random.default_rng(5))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("channels", "real_time_s", "message"), [(63, 0.01, "63 channels"), (64, 0.0, "real_time_s")])
def test_what_cannot_be_counted_is_refused(channels: int, real_time_s: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_spectra(np.ones((2, channels)), real_time_s, DETECTOR, np.random.default_rng(6))


def test_monitor_follows_the_beam_within_its_own_counting_noise() -> None:
    beam, i0 = sample_i0(1e4, (200, 200), 0.05, np.random.default_rng(7))
    assert (beam.mean(), beam.std()) == pytest.approx((1e4, 500.0), rel=0.02)
    assert ((i0 - beam) ** 2).mean() == pytest.approx(1e4, rel=0.03)


def test_a_beam_without_intensity_is_refused() -> None:
    with pytest.raises(ValueError, match="i0_nominal is 0"):
        sample_i0(0.0, (3,), 0.0, np.random.default_rng(8))
