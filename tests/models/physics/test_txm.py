"""The transmission camera: its noise, and the way back from frames to light and optical depth."""

import numpy as np
import pytest

from models.physics.txm import FULL_SCALE, TxmCamera, measured_optical_depth, relative_light

CAMERA = TxmCamera(efficiency=0.5, photons_per_count=4.0, offset=100.0, dark_hz=20.0, read_noise=2.0)


def frames(photons: np.ndarray, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([CAMERA.sample_frame(photons, 0.5, rng) for _ in range(n)])


def test_mean_and_variance_are_those_of_photons_dark_current_and_read_out() -> None:
    taken = frames(np.full((60, 60), 8000.0), 20, seed=0)
    assert taken.mean() == pytest.approx(8000 * 0.5 / 4 + 100 + 20 * 0.5, rel=1e-3)
    assert taken.mean() == pytest.approx(float(CAMERA.expected_counts(8000.0, 0.5)), rel=1e-3)
    # 4000 detected photons make 1000 counts of variance 4000 / 16; whole counts add 1 / 12.
    assert taken.var() == pytest.approx(250 + 10 + 4 + 1 / 12, rel=0.03)


def test_a_bright_pixel_is_clipped() -> None:
    assert frames(np.full((2, 2), 1e7), 1, seed=0).min() == FULL_SCALE


def test_light_and_optical_depth_come_back_from_frames() -> None:
    rng = np.random.default_rng(3)
    depth, beam = rng.uniform(0, 0.5, (30, 30)), rng.uniform(8e4, 1e5, (30, 30))
    flux = np.array([1.0, 0.8, 1.1, 0.9])
    dark = frames(np.zeros((30, 30)), 50, seed=1)

    def seen(photons: np.ndarray, seed: int) -> np.ndarray:
        taken = np.concatenate([frames(photons * one, 1, seed + place) for place, one in enumerate(flux)])
        return relative_light(taken, flux, dark)

    flat, image = seen(beam, 10), seen(beam * np.exp(-depth), 20)
    np.testing.assert_allclose(flat.mean(axis=0), beam * 0.5 / 4, rtol=0.02)
    error = measured_optical_depth(image, flat) - depth
    assert abs(error.mean()) < 1e-3
    assert error.std() == pytest.approx(np.sqrt(2 / (4 * 0.95 * 9e4 * 0.5)), rel=0.2)


def test_an_opaque_pixel_has_a_large_finite_optical_depth() -> None:
    flat = np.ones((1, 2, 2), np.float32)
    opaque = measured_optical_depth(-flat, flat)
    assert np.all(opaque == pytest.approx(np.log(1e3)))


def test_frames_that_do_not_belong_together_are_told() -> None:
    with pytest.raises(ValueError, match="must agree"):
        measured_optical_depth(np.ones((1, 2, 2)), np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="1 pixels of the flat field"):
        measured_optical_depth(np.ones((1, 1, 2)), np.array([[[0.0, 1.0]]]))
