"""The rotation axis is found to a tenth of a pixel: in noise, from irregular angles, past bad projections."""

import numpy as np
import pytest

from models.tomo.centre import find_centre_px

EVEN = np.arange(45) * 4.0


def counted(projections: np.ndarray, peak_counts: float, seed: int = 0) -> np.ndarray:
    """Poisson noise, in the unit of the projections."""
    per_count = float(projections.max()) / peak_counts
    return (np.random.default_rng(seed).poisson(projections / per_count) * per_count).astype(np.float32)


@pytest.mark.parametrize("centre_px", [30.0, 30.3, 31.5, 27.2])
def test_a_noiseless_axis_is_found_to_a_hundredth(make_scan, centre_px: float) -> None:
    found = find_centre_px(make_scan(EVEN, centre_px).projections, EVEN)
    assert found.value_px == pytest.approx(centre_px, abs=0.01)
    assert found.sigma_px < 0.01


@pytest.mark.parametrize("centre_px", [30.3, 32.9])
@pytest.mark.parametrize("peak_counts", [300, 30])
def test_counting_noise_costs_less_than_a_tenth(make_scan, centre_px: float, peak_counts: float) -> None:
    found = find_centre_px(counted(make_scan(EVEN, centre_px).projections, peak_counts), EVEN)
    assert found.value_px == pytest.approx(centre_px, abs=0.1)
    assert 0.001 < found.sigma_px < 0.1


def test_the_uncertainty_is_the_scatter_of_repeated_measurements(full_scan) -> None:
    estimates = [find_centre_px(counted(full_scan.projections, 30, seed), full_scan.angles_deg) for seed in range(20)]
    scatter = np.std([estimate.value_px for estimate in estimates])
    assert 0.5 < np.mean([estimate.sigma_px for estimate in estimates]) / scatter < 2


@pytest.mark.parametrize(
    "angles_deg",
    [
        np.arange(24) * 5.0,
        np.arange(30) * 111.246 % 180,
        np.array([0.0, 7, 11, 40, 55, 62, 100, 140, 171]),
        np.arange(40) * 9.0,
    ],
    ids=["missing wedge", "golden", "irregular", "full turn"],
)
def test_any_set_of_angles_will_do(make_scan, angles_deg: np.ndarray) -> None:
    assert find_centre_px(make_scan(angles_deg, 30.3).projections, angles_deg).value_px == pytest.approx(30.3, abs=0.02)


def test_a_few_bad_projections_do_not_move_it(make_scan) -> None:
    projections = make_scan(EVEN, 30.3).projections.copy()
    projections[5] = np.roll(projections[5], 6, axis=1)
    projections[22] = np.roll(projections[22], -9, axis=1)
    projections[30] = 0.0
    projections[31] = np.nan
    assert find_centre_px(projections, EVEN).value_px == pytest.approx(30.3, abs=0.02)


def test_missing_pixels_do_not_move_it(make_scan) -> None:
    projections = make_scan(EVEN, 30.3).projections.copy()
    projections[np.random.default_rng(0).random(projections.shape) < 0.02] = np.nan
    assert find_centre_px(projections, EVEN).value_px == pytest.approx(30.3, abs=0.05)


def test_elements_are_added_up_with_equal_mass(make_scan) -> None:
    zinc = counted(make_scan(EVEN, 30.3).projections, 10)
    manganese = counted(make_scan(EVEN, 30.3).projections, 1000) * np.float32(1e-3)
    both = find_centre_px(np.stack([zinc, manganese]), EVEN)
    assert both.value_px == pytest.approx(30.3, abs=0.1)
    assert both.sigma_px < find_centre_px(zinc, EVEN).sigma_px


@pytest.mark.parametrize("angles_deg", [np.full(6, 30.0), np.linspace(0, 0.5, 6)])
def test_angles_that_are_almost_one_are_refused(make_scan, angles_deg: np.ndarray) -> None:
    with pytest.raises(ValueError, match="too alike"):
        find_centre_px(make_scan(angles_deg).projections, angles_deg)


def test_too_few_projections_are_refused(make_scan) -> None:
    with pytest.raises(ValueError, match="needs 4"):
        find_centre_px(make_scan(EVEN[:3]).projections, EVEN[:3])


def test_empty_projections_are_refused() -> None:
    with pytest.raises(ValueError, match="0 of 5 projections have mass"):
        find_centre_px(np.zeros((5, 4, 4), np.float32), np.arange(5) * 30.0)


def test_another_number_of_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="pass \\(angle, y, x\\)"):
        find_centre_px(np.zeros((4, 4), np.float32), np.arange(4))
