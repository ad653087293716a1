"""Speckle behind diffusers: positive, moved with the stage, of known statistics; and the bucket's linearity."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from models.physics.structured_light import GRITS, Diffuser, Screen, bucket_density, structured_light


def screen(grain_nm: float = 200.0, contrast: float = 0.5, seed: int = 0) -> Screen:
    return Screen(Diffuser("one", grain_nm, contrast), (40, 40), 100.0, np.random.default_rng(seed))


def light_everywhere(one: Screen) -> np.ndarray:
    """The whole screen, (y, x), from 4 x 4 fields of view side by side."""
    steps_nm = np.arange(4) * 40 * 100.0
    return np.block([[one.light(np.array([-y, -x])) for x in steps_nm] for y in steps_nm])


def test_light_is_log_normal_with_the_contrast_asked_for_and_mean_1() -> None:
    light = light_everywhere(screen(contrast=0.4))
    assert light.min() > 0
    assert np.log(light).std() == pytest.approx(0.4, rel=0.02)
    assert light.mean() == pytest.approx(1.0, rel=0.02)


def test_grains_have_the_size_asked_for() -> None:
    """White noise behind a Gaussian of sigma has the autocorrelation exp(-d^2 / 4 sigma^2)."""
    log = np.log(light_everywhere(screen(grain_nm=300.0)))
    power = np.abs(np.fft.fft2(log - log.mean())) ** 2
    correlation = np.fft.ifft2(power).real
    at_6_px = (correlation[6, 0] + correlation[0, 6]) / 2 / correlation[0, 0]
    assert at_6_px == pytest.approx(np.exp(-(6**2) / (4 * 3.0**2)), abs=0.05)


def test_a_stage_moves_the_light_as_far_as_itself() -> None:
    one = screen()
    still, moved = one.light(np.zeros(2)), one.light(np.array([300.0, -500.0]))
    np.testing.assert_allclose(moved[3:, :-5], still[:-3, 5:], rtol=1e-9)


def test_parts_of_a_pixel_are_a_cubic_spline() -> None:
    one = screen()
    whole = np.log(light_everywhere(one))
    rows, columns = np.meshgrid(np.arange(40) + 0.3, np.arange(40) - 0.45, indexing="ij")
    expected = map_coordinates(whole, [rows, columns], order=3, mode="grid-wrap")
    np.testing.assert_allclose(np.log(one.light(np.array([-30.0, 45.0]))), expected, atol=1e-6)


def test_light_behind_two_diffusers_is_the_product_in_an_uneven_beam() -> None:
    light = structured_light(list(GRITS.values()), (30, 20), 100.0, 0.4, np.random.default_rng(1))
    fine, coarse = np.array([120.0, 70.0]), np.array([-400.0, 33.0])
    flat, both = light.pattern({}), light.pattern({"fine": fine, "coarse": coarse})
    np.testing.assert_allclose(
        both * flat, light.pattern({"fine": fine}) * light.pattern({"coarse": coarse}), rtol=1e-4
    )
    assert flat.mean() == pytest.approx(1.0)
    assert flat[15, 10] > flat[0, 10] > flat[0, 0]


def test_two_grits_make_patterns_of_six_tenths_of_their_mean() -> None:
    light = structured_light(list(GRITS.values()), (80, 80), 100.0, 0.0, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    places = rng.uniform(-16e3, 16e3, (50, 2, 2))
    patterns = np.stack([light.pattern({"fine": fine, "coarse": coarse}) for fine, coarse in places])
    # The product of log-normals of 0.5 and 0.3: sqrt(exp(0.34) - 1) = 0.64.
    assert patterns.std() / patterns.mean() == pytest.approx(0.64, abs=0.04)


def test_the_bucket_is_the_mean_of_pattern_times_density() -> None:
    rng = np.random.default_rng(2)
    density, patterns = rng.uniform(0, 9, (3, 6, 5)), rng.uniform(0, 2, (2, 6, 5))
    together = bucket_density(patterns[0] + patterns[1], density)
    np.testing.assert_allclose(together, bucket_density(patterns[0], density) + bucket_density(patterns[1], density))
    np.testing.assert_allclose(bucket_density(np.ones((6, 5)), density), density.mean(axis=(1, 2)))
    pinhole = np.zeros((6, 5))
    pinhole[2, 3] = 30.0
    np.testing.assert_allclose(bucket_density(pinhole, density), density[:, 2, 3])


@pytest.mark.parametrize("wrong", [{"grain_nm": 0.0}, {"contrast": -1.0}])
def test_an_impossible_diffuser_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="diffuser 'one'"):
        Diffuser(**({"name": "one", "grain_nm": 100.0, "contrast": 0.5} | wrong))


def test_an_impossible_field_is_refused() -> None:
    with pytest.raises(ValueError, match="pixel_nm"):
        structured_light([], (4, 4), 0.0, 0.1, np.random.default_rng(0))
