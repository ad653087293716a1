"""The power spectral density of known noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.quality.masks import spherical_mask
from models.quality.power import power_spectrum


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24), (50, 40)])
def test_white_noise_has_its_variance_times_the_pixel_at_every_frequency(shape: tuple[int, ...]) -> None:
    noise = 3.0 * np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = power_spectrum(noise, 5.0)
    expected = 9.0 * 5.0 ** len(shape)
    scatter = expected / np.sqrt(found.n_voxels[2:] / 2)
    assert (np.abs(found.density[2:] - expected) < 5 * scatter).all()
    assert found.density[5:].mean() == pytest.approx(expected, rel=0.1)


def test_the_frequencies_end_at_nyquist() -> None:
    found = power_spectrum(np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32), 25.0)
    assert found.frequency_per_nm[-1] == pytest.approx(1 / 50.0)
    assert found.density[0] == pytest.approx(0.0, abs=1e-3)


def test_a_blur_falls_off_as_its_transfer_function() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    sharp = power_spectrum(noise.astype(np.float32), 1.0)
    blurred = power_spectrum(gaussian_filter(noise, 1.5, mode="wrap").astype(np.float32), 1.0)
    middle = slice(5, 60)
    expected = np.exp(-((2 * np.pi * 1.5 * sharp.frequency_per_nm[middle]) ** 2))
    assert blurred.density[middle] / sharp.density[middle] == pytest.approx(expected, rel=0.03)


def test_a_mask_does_not_change_the_level() -> None:
    noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    masked = power_spectrum(noise, 1.0, spherical_mask(noise.shape, 40.0, 10.0))
    assert masked.density[10:].mean() == pytest.approx(1.0, rel=0.1)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        power_spectrum(np.full((8, 8), np.nan, np.float32), 1.0)
    with pytest.raises(ValueError, match="not zero everywhere"):
        power_spectrum(np.ones((8, 8), np.float32), 1.0, np.zeros((8, 8), np.float32))
