"""The rotation axis is found to a tenth of a pixel: in noise, from irregular angles, past bad projections."""

import numpy as np
import pytest

from models.tomo.algorithms import ALGORITHMS
from models.tomo.centre import CentreEstimate, find_centre_px
from models.tomo.centre_residual import refine_centre
from models.tomo.interruption import ReconstructionCancelledError
from models.tomo.reprojector import ByEngine

EVEN = np.arange(45) * 4.0
OSEM = ByEngine(ALGORITHMS["osem"], {"n_iterations": 2})


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


@pytest.mark.parametrize("background", [0.03, 0.06])
def test_an_even_background_does_not_pull_it_to_the_middle(make_scan, background: float) -> None:
    projections = make_scan(EVEN, 31.7).projections
    found = find_centre_px(projections + np.float32(background * projections.mean()), EVEN)
    assert found.value_px == pytest.approx(31.7, abs=0.05)


def test_the_specimens_own_tail_at_a_border_is_no_background() -> None:
    angles = np.deg2rad(EVEN)[:, None]
    u = np.arange(48) + 0.5
    balls = [np.exp(-np.square(u - 24.0 - x * np.cos(angles) - z * np.sin(angles)) / 50) for x, z in ((7, -5), (-6, 9))]
    both = np.stack(balls)[:, :, None].astype(np.float32)
    assert find_centre_px(both, EVEN).value_px == pytest.approx(24.0, abs=0.02)


@pytest.mark.parametrize("centre_px", [30.3, 27.7])
@pytest.mark.parametrize("peak_counts", [300, 30])
def test_the_refined_axis_is_right_to_a_tenth(make_scan, centre_px: float, peak_counts: float) -> None:
    projections = counted(make_scan(EVEN, centre_px).projections, peak_counts)
    wrong = CentreEstimate(centre_px + 1.2, 0.1, "a guess")
    refined = refine_centre(projections, EVEN, OSEM, wrong)
    assert refined.value_px == pytest.approx(centre_px, abs=0.1)
    assert 0.001 < refined.sigma_px < 0.1
    assert refined.method == "least reprojection residual"
    assert "from the a guess" in refined.reason


def test_a_guess_beyond_the_scan_is_followed(make_scan) -> None:
    projections = make_scan(EVEN, 30.3).projections
    refined = refine_centre(projections, EVEN, OSEM, CentreEstimate(33.6, 0.1, "a guess"))
    assert refined.value_px == pytest.approx(30.3, abs=0.05)


def test_refining_can_be_stopped(full_scan) -> None:
    with pytest.raises(ReconstructionCancelledError):
        refine_centre(full_scan.projections, full_scan.angles_deg, OSEM, cancelled=lambda: True)


@pytest.fixture(scope="module")
def too_wide(make_scan) -> np.ndarray:
    """The middle 30 of 60 columns; the specimen fills 52."""
    return make_scan(np.arange(91) * 180 / 91, 30.3, (40, 60)).projections[:, :, 15:45]


@pytest.mark.parametrize("order", ["measured in order", "shuffled"])
def test_a_specimen_wider_than_the_view_gets_the_double_wedge(too_wide: np.ndarray, order: str) -> None:
    angles_deg = np.arange(91) * 180 / 91
    sequence = np.arange(91) if order == "measured in order" else np.random.default_rng(0).permutation(91)
    found = find_centre_px(counted(too_wide, 300)[sequence], angles_deg[sequence])
    assert found.value_px == pytest.approx(15.3, abs=0.2)
    assert found.truncated
    assert found.method == "double wedge of the sinogram"
    assert "not wholly in view" in found.reason


def test_the_double_wedge_knows_how_far_off_it_may_be(too_wide: np.ndarray) -> None:
    angles_deg = np.arange(91) * 180 / 91
    off = [
        (found.value_px - 15.3) / found.sigma_px
        for counts in (30, 100, 300)
        for seed in range(40, 50)
        for found in [find_centre_px(counted(too_wide, counts, seed), angles_deg)]
    ]
    assert np.mean(np.abs(off) < 2) >= 0.9
    assert np.sqrt(np.mean(np.square(off))) > 0.25


def test_the_double_wedge_of_one_row_says_that_it_does_not_know(too_wide: np.ndarray) -> None:
    found = find_centre_px(counted(too_wide, 300)[:, 20:21], np.arange(91) * 180 / 91)
    assert found.truncated
    assert found.sigma_px >= 0.5


def test_the_double_wedge_is_not_refined(too_wide: np.ndarray) -> None:
    angles_deg = np.arange(91) * 180 / 91
    first = find_centre_px(too_wide, angles_deg)
    refined = refine_centre(too_wide, angles_deg, OSEM)
    assert refined.value_px == first.value_px
    assert "not refined" in refined.reason


def test_too_wide_with_a_missing_wedge_says_that_it_is_biased(too_wide: np.ndarray) -> None:
    found = find_centre_px(too_wide[:60], np.arange(60) * 180 / 91)
    assert found.truncated
    assert "biased towards the middle" in found.reason
    assert find_centre_px(too_wide, np.arange(91) * 180 / 91).reason != found.reason
