"""Where patterns stand: known shifts found, whatever noise, brightness and what stands still."""

import numpy as np
import pytest

from models.physics.structured_light import GRITS, StructuredLight, structured_light
from models.singlepixel.patterns.registration import register_patterns, shifted

PIXEL_NM = 100.0


@pytest.fixture(scope="module")
def light() -> StructuredLight:
    """Both grits over 40 x 48 pixels, in a beam that falls off."""
    return structured_light(list(GRITS.values()), (40, 48), PIXEL_NM, 0.4, np.random.default_rng(3))


def moved_pairs(light: StructuredLight, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """References, the same with both diffusers moved alike, and by how much, (n, 2) px."""
    rng = np.random.default_rng(seed)
    places, moves = rng.uniform(-8e3, 8e3, (n, 2, 2)), rng.uniform(-1.5, 1.5, (n, 2))
    still = np.stack([light.pattern({"fine": fine, "coarse": coarse}) for fine, coarse in places])
    there = places + moves[:, None] * PIXEL_NM
    return still, np.stack([light.pattern({"fine": fine, "coarse": coarse}) for fine, coarse in there]), moves


def test_shifts_are_found_to_a_quarter_of_a_pixel_in_noise_and_other_brightness(light: StructuredLight) -> None:
    still, moved, moves = moved_pairs(light, 20, seed=0)
    rng = np.random.default_rng(1)
    noisy_still = still * (1 + 0.05 * rng.normal(size=still.shape))
    noisy = moved * rng.uniform(0.5, 2.0, (20, 1, 1)) * (1 + 0.05 * rng.normal(size=still.shape))
    error = register_patterns(noisy.astype(np.float32), noisy_still.astype(np.float32)) - moves
    assert np.abs(error).max() < 0.25
    assert np.sqrt(np.mean(error**2)) < 0.05


def test_a_sample_that_stands_still_draws_no_pattern_back(light: StructuredLight) -> None:
    still, moved, moves = moved_pairs(light, 20, seed=2)
    y, x = np.mgrid[:40, :48]
    shade = np.where(np.hypot(y - 20, x - 22) < 9, 0.5, 1.0)
    assert np.abs(register_patterns(moved * shade, still) - moves).max() < 0.25


def test_one_reference_for_all_is_taken_too(light: StructuredLight) -> None:
    still, _, _ = moved_pairs(light, 1, seed=4)
    assert np.abs(register_patterns(np.repeat(still, 3, axis=0), still[0])).max() < 0.01


def test_shifted_undoes_what_was_found(light: StructuredLight) -> None:
    still, moved, moves = moved_pairs(light, 4, seed=5)
    inside = (slice(None), slice(4, -4), slice(4, -4))
    without_beam = still / light.envelope, moved / light.envelope
    back = shifted(without_beam[1], -moves)
    error = (back - without_beam[0])[inside]
    assert np.sqrt(np.mean(error**2)) < 0.03


def test_patterns_that_cannot_be_registered_are_told() -> None:
    good = np.ones((3, 20, 20), np.float32)
    for stack, reference, named in (
        (good, good[:2], "pass"),
        (good[:, :8], good[:, :8], "at least 16 a side"),
        (good * np.nan, good, "no numbers"),
    ):
        with pytest.raises(ValueError, match=named):
            register_patterns(stack, reference)
    with pytest.raises(ValueError, match="shifts"):
        shifted(good, np.zeros((2, 2)))
