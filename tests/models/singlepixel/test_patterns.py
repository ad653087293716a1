import numpy as np
import pytest
from singlepixel import speckle

from models.singlepixel.patterns.choice import choose_patterns
from models.singlepixel.patterns.figures import pattern_figures
from models.singlepixel.patterns.registration import register_patterns, shifted


def test_patterns_of_one_pixel_each_depend_on_nothing_and_measure_everything():
    points = np.eye(64, dtype=np.float32).reshape(64, 8, 8)
    figures = pattern_figures(points, relative_noise=1e-4)

    assert figures.row_dependence == pytest.approx(1 / 63, rel=1e-3)
    assert figures.pixel_dependence == pytest.approx(1 / 63, rel=1e-3)
    assert figures.effective_rank == pytest.approx(63, rel=0.02)  # the mean is left out
    assert figures.invertibility == pytest.approx(63 / 64)
    assert figures.predicted_error < 0.2


def test_one_pattern_again_and_again_measures_one_thing():
    rng = np.random.default_rng(1)
    same = rng.random((8, 8)) * rng.uniform(1, 2, (20, 1, 1))
    figures = pattern_figures(same, relative_noise=1e-3)

    assert figures.row_dependence == pytest.approx(1)
    assert figures.pixel_dependence == pytest.approx(1)
    assert figures.effective_rank == pytest.approx(1, abs=0.03)
    assert figures.invertibility == pytest.approx(1 / 64)


def test_independent_pixels_depend_by_chance_alone():
    figures = pattern_figures(np.random.default_rng(2).random((100, 16, 16)), relative_noise=1e-3)

    assert figures.pixel_dependence == pytest.approx(0.8 / 10, rel=0.05)
    assert figures.dependence_by_distance[0] == pytest.approx(1)


def test_coarse_speckle_depends_farther_and_measures_less():
    fine, coarse = (pattern_figures(speckle(80, 32, 3, (size,), (0.5,)), relative_noise=0.001) for size in (0.5, 4.0))

    assert coarse.dependence_by_distance[4] > 2 * fine.dependence_by_distance[4]
    assert coarse.effective_rank < fine.effective_rank
    assert coarse.predicted_error > fine.predicted_error


def test_noise_takes_away_what_is_measured():
    errors = [pattern_figures(speckle(60, 16, 4), relative_noise=noise) for noise in (1e-4, 1e-2, 1.0)]

    assert [one.predicted_error for one in errors] == sorted(one.predicted_error for one in errors)
    assert errors[0].invertibility > errors[2].invertibility


def test_chosen_patterns_measure_more_than_random_ones():
    some = np.concatenate([speckle(40, 24, 5, (4.0,), (0.5,)), speckle(40, 24, 6, (1.0,), (0.5,))])
    chosen = pattern_figures(some[choose_patterns(some, 30)], relative_noise=1e-3)

    rng = np.random.default_rng(7)
    by_chance = [pattern_figures(some[rng.permutation(80)[:30]], relative_noise=1e-3) for _ in range(10)]
    assert chosen.predicted_error < min(one.predicted_error for one in by_chance)
    assert len(set(choose_patterns(some, 80))) == 80


def test_registration_finds_jitter_to_a_quarter_of_a_pixel_under_a_still_envelope_and_noise():
    rng = np.random.default_rng(8)
    reference = speckle(20, 64, 9)
    y, x = np.mgrid[:64, :64] - 32
    envelope = np.exp(-0.5 * (y**2 + x**2) / 32**2)
    true = rng.normal(0, 1.5, (20, 2))
    photons = 1000 * rng.uniform(0.7, 1.3, (20, 1, 1)) * envelope
    moved = rng.poisson(np.maximum(shifted(reference, true), 0) * photons).astype(np.float32)
    still = rng.poisson(reference * 1000 * envelope).astype(np.float32)

    found = register_patterns(moved, still)

    assert np.abs(found - true).max() < 0.25


def test_shifting_there_and_back_leaves_the_middle_of_a_pattern():
    smooth = speckle(3, 48, 10, (3.0,), (0.5,))
    shifts = np.array([[1.3, -0.4], [0.0, 2.6], [-1.7, 0.2]])

    back = shifted(shifted(smooth, shifts), -shifts)

    np.testing.assert_allclose(back[:, 8:-8, 8:-8], smooth[:, 8:-8, 8:-8], rtol=0.02)


def test_more_than_there_are_cannot_be_chosen():
    with pytest.raises(ValueError, match="ask for 1 to 5"):
        choose_patterns(np.ones((5, 4, 4)), 6)
