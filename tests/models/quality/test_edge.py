"""The width of an edge of known blur, with an honest uncertainty, and a refusal where there is none."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from models.quality.edge import TEN_TO_NINETY, edge_width, line_profile


def step(sigma_px: float = 2.0, middle: float = 19.3, n: int = 40, low: float = 1.0, high: float = 4.0) -> np.ndarray:
    return low + (high - low) / 2 * (1 + erf((np.arange(n) - middle) / (np.sqrt(2) * sigma_px)))


@pytest.mark.parametrize("sigma_px", [0.6, 2.0, 5.0])
@pytest.mark.parametrize(("low", "high"), [(1.0, 4.0), (0.9, -1e-4)])
def test_a_clean_edge_has_its_width(sigma_px: float, low: float, high: float) -> None:
    found = edge_width(step(sigma_px, low=low, high=high), 10.0)
    assert found.width_nm == pytest.approx(TEN_TO_NINETY * sigma_px * 10.0, rel=1e-3)
    assert found.position_nm == pytest.approx(193.0, abs=0.1)
    assert found.contrast == pytest.approx(high - low, rel=1e-3)


def test_ten_to_ninety_percent_is_2_563_sigma() -> None:
    assert pytest.approx(2.5631, abs=1e-4) == TEN_TO_NINETY


def test_the_uncertainty_is_the_scatter_of_repeated_measurements() -> None:
    found = [edge_width(step() + 0.15 * np.random.default_rng(s).normal(size=40), 10.0) for s in range(40)]
    scatter = np.std([each.width_nm for each in found])
    assert 0.7 < np.mean([each.sigma_nm for each in found]) / scatter < 1.4
    assert np.mean([each.width_nm for each in found]) == pytest.approx(TEN_TO_NINETY * 20.0, rel=0.1)


def test_missing_points_are_left_out() -> None:
    profile = step()
    profile[[3, 18, 30]] = np.nan
    assert edge_width(profile, 10.0).width_nm == pytest.approx(TEN_TO_NINETY * 20.0, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_noise_without_an_edge_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=r"no edge|lost in noise"):
        edge_width(np.random.default_rng(seed).normal(size=40), 10.0)


@pytest.mark.parametrize(
    ("profile", "message"), [(np.ones(20), "constant"), (np.arange(5.0), "5 values"), (np.full(9, np.nan), "0 values")]
)
def test_profiles_that_cannot_have_an_edge_are_refused(profile: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edge_width(profile, 10.0)


def test_a_slanted_edge_is_measured_along_its_normal() -> None:
    y, x = np.indices((200, 200))
    fine = (x * np.cos(0.4) + y * np.sin(0.4) > 130).astype(float)
    image = gaussian_filter(fine, 8.0)[::4, ::4].astype(np.float32)
    middle = np.array([np.sin(0.4), np.cos(0.4)]) * 130 / 4
    normal = np.array([np.sin(0.4), np.cos(0.4)])
    profile = line_profile(image, tuple(middle - 12 * normal), tuple(middle + 12 * normal), width_px=9)
    assert edge_width(profile, 20.0).width_nm == pytest.approx(TEN_TO_NINETY * 2.0 * 20.0, rel=0.05)


def test_a_line_beyond_the_image_is_missing_there() -> None:
    profile = line_profile(np.ones((10, 10), np.float32), (5, 5), (5, 14))
    assert np.isnan(profile[6:]).all()
    assert profile[:4] == pytest.approx(1.0)


def test_a_line_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 px"):
        line_profile(np.ones((5, 5), np.float32), (1, 1), (1, 1))
