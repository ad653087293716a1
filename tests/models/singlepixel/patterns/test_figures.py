"""Figures of pattern sets: known limits, and order among sets that are known to be better or worse."""

import numpy as np
import pytest

from models.singlepixel.patterns.choice import choose_patterns
from models.singlepixel.patterns.figures import MOST_PATTERNS, pattern_figures

SIDE = 12


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """Independent pixels, 100 patterns."""
    return np.random.default_rng(0).uniform(0, 2, (100, SIDE, SIDE))


def test_a_point_scan_is_wholly_independent_and_invertible() -> None:
    """Its pixels are correlated by -1 / (N - 1) alone: where one is lit the others are not."""
    scan = np.eye(SIDE**2).reshape(-1, SIDE, SIDE)
    figures = pattern_figures(scan, relative_noise=0.0)
    assert figures.pixel_dependence == pytest.approx(-1 / (SIDE**2 - 1))
    assert figures.row_dependence == pytest.approx(-1 / (SIDE**2 - 1))
    assert figures.invertibility == pytest.approx(1.0, abs=1e-4)
    assert figures.effective_rank == pytest.approx(SIDE**2 - 1, rel=1e-6)
    assert figures.invertible_rank == SIDE**2 - 1
    assert figures.predicted_error < 0.1


def test_independent_pixels_correlate_as_chance_does(noise: np.ndarray) -> None:
    """Of n independent normal values the correlation has the mean absolute value sqrt(2 / pi n)."""
    figures = pattern_figures(noise, relative_noise=0.01)
    assert figures.pixel_dependence_abs == pytest.approx(np.sqrt(2 / np.pi / 100), rel=0.05)
    assert figures.row_dependence_abs == pytest.approx(np.sqrt(2 / np.pi / SIDE**2), rel=0.05)
    assert abs(figures.pixel_dependence) < 0.01
    assert abs(figures.row_dependence) < 0.01
    assert 60 < figures.effective_rank < figures.invertible_rank == 99


def test_dependence_falls_with_distance_as_the_grain_does() -> None:
    """White noise behind a Gaussian of sigma correlates as exp(-d^2 / 4 sigma^2)."""
    frequency = np.fft.fftfreq(32)
    smoothing = np.exp(-2 * (np.pi * 2.0) ** 2 * (frequency[:, None] ** 2 + frequency**2))
    white = np.random.default_rng(1).normal(size=(400, 32, 32))
    grains = np.fft.ifft2(np.fft.fft2(white) * smoothing).real
    by_distance = pattern_figures(grains, relative_noise=0.0).dependence_by_distance
    assert by_distance[0] == pytest.approx(np.exp(-1 / 16), abs=0.05)
    assert by_distance[2] == pytest.approx(np.exp(-9 / 16), abs=0.05)
    assert by_distance[-1] < 0.1


def test_copies_add_nothing(noise: np.ndarray) -> None:
    once, twice = noise[:20], np.concatenate([noise[:20], noise[:20]])
    one, two = (pattern_figures(stack, relative_noise=1e-6) for stack in (once, twice))
    assert two.effective_rank == pytest.approx(one.effective_rank, rel=1e-6)
    assert two.invertible_rank == one.invertible_rank
    assert two.row_dependence > one.row_dependence
    same = pattern_figures(np.repeat(noise[:1], 3, axis=0), relative_noise=0.1)
    assert same.row_dependence == pytest.approx(1.0)


def test_more_patterns_and_less_noise_foretell_less_error(noise: np.ndarray) -> None:
    def foretold(n: int, relative_noise: float) -> float:
        return pattern_figures(noise[:n], relative_noise=relative_noise).predicted_error

    assert 1 > foretold(20, 0.01) > foretold(100, 0.01) > foretold(100, 0.0)
    assert foretold(100, 100.0) == pytest.approx(1.0, abs=1e-3)


def test_the_foretold_error_is_that_of_the_best_linear_reconstruction(noise: np.ndarray) -> None:
    """An independent reference: Wiener's estimate of images of independent pixels, of which mean and spread are one."""
    rng, relative_noise = np.random.default_rng(2), 0.002
    rows = noise.reshape(100, -1) - noise.mean(axis=0).ravel()
    sigma = relative_noise * noise.sum(axis=(1, 2)).mean()
    images = rng.normal(size=(SIDE**2, 400))
    measured = rows @ images + sigma * rng.normal(size=(100, 400))
    wiener = rows.T @ np.linalg.solve(rows @ rows.T + sigma**2 * np.eye(100), measured)
    foretold = pattern_figures(noise, relative_noise=relative_noise).predicted_error
    assert foretold == pytest.approx(np.sqrt(np.mean((wiener - images) ** 2)), rel=0.02)


def test_one_pattern_and_very_many_are_judged(noise: np.ndarray) -> None:
    one = pattern_figures(noise[:1], relative_noise=0.1)
    assert (one.n_used, one.effective_rank, one.invertible_rank) == (1, pytest.approx(1.0), 1)
    assert np.isnan(pattern_figures(noise[:, :8, :8], relative_noise=0.1).invertibility)
    many = pattern_figures(np.tile(noise[:, :4, :4], (21, 1, 1)), relative_noise=0.1)
    assert (many.n_patterns, many.n_used) == (2100, MOST_PATTERNS)
    with pytest.raises(ValueError, match="finite"):
        pattern_figures(noise * np.nan, relative_noise=0.1)
    with pytest.raises(ValueError, match="none below 0"):
        pattern_figures(noise, relative_noise=-0.1)


def test_chosen_patterns_foretell_less_error_than_any_by_chance() -> None:
    """Of a set where every pattern has nine near copies."""
    rng = np.random.default_rng(3)
    kinds = rng.uniform(0, 2, (12, SIDE, SIDE))
    patterns = np.repeat(kinds, 10, axis=0) + 0.02 * rng.uniform(size=(120, SIDE, SIDE))
    chosen = choose_patterns(patterns, 12)
    best = pattern_figures(patterns[chosen], relative_noise=0.005).predicted_error
    assert len(set((chosen // 10).tolist())) >= 11
    by_chance = [
        pattern_figures(patterns[rng.permutation(120)[:12]], relative_noise=0.005).predicted_error for _ in range(20)
    ]
    assert best < min(by_chance)
    with pytest.raises(ValueError, match="pass 1 to the 120 patterns"):
        choose_patterns(patterns, 121)
