"""Jitter of pixels comes down to a tenth; shifts keep mass and noise and bring nothing in from the other side."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.phantoms.projection import areal_density_ug_cm2
from models.phantoms.shapes import Scene
from models.tomo.algorithms import ALGORITHMS
from models.tomo.alignment import Alignment, align, without_gauge
from models.tomo.alignment_registration import offsets_px
from models.tomo.alignment_shift import shifted
from models.tomo.interruption import ReconstructionCancelledError
from models.tomo.reprojector import ByEngine

ANGLES = np.arange(61) * 180 / 61
JITTER_Y, JITTER_U = np.random.default_rng(5).uniform(-3, 3, (2, 61))
OSEM = ByEngine(ALGORITHMS["osem"], {"n_iterations": 2})
FBP = ByEngine(ALGORITHMS["fbp"], {"window": "hann"})


def wobbling(scene: Scene, shape: tuple[int, int] = (48, 64), pixel_nm: float = 1300 / 60) -> np.ndarray:
    """Exact projections, the axis in the middle, each displaced by the jitter."""
    images = [
        areal_density_ug_cm2(scene, theta, shape, pixel_nm, (-y * pixel_nm * 1e-3, -u * pixel_nm * 1e-3))[0]
        for theta, y, u in zip(ANGLES, JITTER_Y, JITTER_U, strict=True)
    ]
    return np.stack(images).astype(np.float32)


def counted(projections: np.ndarray, peak_counts: float, seed: int = 1) -> np.ndarray:
    """Poisson noise, in the unit of the projections."""
    per_count = float(projections.max()) / peak_counts
    return (np.random.default_rng(seed).poisson(projections / per_count) * per_count).astype(np.float32)


def errors_px(found: Alignment) -> tuple[float, float]:
    """rms along y and u of what is left of the jitter, but for the gauge."""
    return float(np.std(found.y_px + JITTER_Y)), float(np.std(without_gauge(found.u_px + JITTER_U, ANGLES)))


@pytest.fixture(scope="module")
def exact(full_scan) -> np.ndarray:
    return wobbling(full_scan.scene)


@pytest.mark.parametrize(
    ("peak_counts", "reproject", "most_px"), [(300, OSEM, 0.05), (30, OSEM, 0.1), (300, FBP, 0.05)]
)
def test_three_pixels_of_jitter_come_down_to_a_tenth(
    exact: np.ndarray, peak_counts: float, reproject: ByEngine, most_px: float
) -> None:
    assert max(errors_px(align(counted(exact, peak_counts), ANGLES, reproject))) < most_px


def test_a_specimen_that_goes_on_above_and_below_is_aligned_too(exact: np.ndarray) -> None:
    found = align(counted(exact[:, 10:34], 300), ANGLES, OSEM)
    assert max(errors_px(found)) < 0.1
    assert found.residuals[-1] < found.residuals[0]


def test_the_gauge_is_fixed(exact: np.ndarray) -> None:
    found = align(exact, ANGLES, OSEM, most_rounds=2)
    assert found.y_px.mean() == pytest.approx(0, abs=1e-3)
    assert found.u_px == pytest.approx(without_gauge(found.u_px, ANGLES), abs=1e-3)


def test_a_given_axis_is_where_the_projections_are_brought(exact: np.ndarray) -> None:
    found = align(exact, ANGLES, OSEM, centre_px=32.0, most_rounds=2)
    assert found.centre_px == 32.0
    translation = np.stack([np.ones(61), np.cos(np.deg2rad(ANGLES)), np.sin(np.deg2rad(ANGLES))], axis=1)
    mean_left, *_ = np.linalg.lstsq(translation, found.u_px + JITTER_U, rcond=None)[0]
    assert mean_left == pytest.approx(0, abs=0.02)


def test_the_history_tells_why_it_stopped(exact: np.ndarray) -> None:
    found = align(exact, ANGLES, OSEM)
    assert found.stopped in ("converged", "residual no longer falls")
    assert len(found.residuals) == len(found.steps_px) + 1
    assert align(exact, ANGLES, OSEM, most_rounds=1, tolerance_px=1e-9).stopped in (
        "most rounds",
        "residual no longer falls",
    )


def test_holes_do_no_harm(exact: np.ndarray) -> None:
    holed = counted(exact, 300)
    holed[np.random.default_rng(0).random(holed.shape) < 0.01] = np.nan
    assert max(errors_px(align(holed, ANGLES, OSEM))) < 0.1


def test_progress_ends_at_one_and_cancelling_stops(exact: np.ndarray) -> None:
    told: list[float] = []
    align(exact, ANGLES, FBP, most_rounds=1, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    with pytest.raises(ReconstructionCancelledError):
        align(exact, ANGLES, FBP, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"damping": 0.0}, "share above 0"),
        ({"most_rounds": 0}, "at least 1"),
        ({"tolerance_px": 0.0}, "positive lengths"),
        ({"centre_px": 99.0}, "from 0 to 64"),
        ({"angles_deg": ANGLES[:3]}, "one angle per projection"),
    ],
)
def test_wrong_arguments_are_refused(exact: np.ndarray, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(**({"projections": exact, "angles_deg": ANGLES, "reproject": FBP} | arguments))


def test_offsets_are_found_to_two_hundredths() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((1, 40, 50), np.float32)
    image[0, 12:28, 15:35] = gaussian_filter(rng.random((16, 20)), 1.5)
    image = gaussian_filter(image, (0, 1, 1))
    for y, u in ((2.37, -1.62), (-0.4, 0.05), (0.0, 0.0), (3.0, 4.5)):
        moved = shifted(image, y, u)
        found = offsets_px(np.nan_to_num(moved), image, 6.0)
        assert found[0][0] == pytest.approx(y, abs=0.02)
        assert found[1][0] == pytest.approx(u, abs=0.02)


def test_a_shift_keeps_the_mass_of_what_stays_in_view() -> None:
    image = np.zeros((3, 20, 24), np.float32)
    image[:, 6:13, 8:15] = np.random.default_rng(0).random((3, 7, 7))
    image = gaussian_filter(image, (0, 0.8, 0.8))
    moved = shifted(image, [1.3, -2.7, 0.5], [-3.1, 4.6, 0.0])
    assert np.nansum(moved, axis=(1, 2)) == pytest.approx(image.sum(axis=(1, 2)), rel=2e-3)


def test_a_shift_keeps_the_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(20, 30, 30)).astype(np.float32)
    moved = shifted(noise, 0.5, -0.5)
    assert np.nanstd(moved) == pytest.approx(1.0, abs=0.03)


def test_whole_pixels_are_moved_exactly_and_back_again() -> None:
    image = np.random.default_rng(0).random((2, 9, 11)).astype(np.float32)
    moved = shifted(image, 2.0, -3.0)
    assert moved[:, 2:, :-3] == pytest.approx(image[:, :-2, 3:], abs=1e-5)
    assert np.isnan(moved[:, :2]).all()
    assert np.isnan(moved[:, :, -3:]).all()


def test_nothing_comes_in_from_the_other_side() -> None:
    image = np.zeros((1, 10, 20), np.float32)
    image[0, :, -2:] = 1.0
    moved = shifted(image, 0.0, 4.0)
    assert np.isnan(moved[0, :, :4]).all()
    assert np.abs(moved[0, :, 4:]).max() < 1e-5


def test_missing_pixels_travel_with_the_image() -> None:
    image = np.ones((1, 10, 10), np.float32)
    image[0, 4, 5] = np.nan
    moved = shifted(image, 1.2, 1.8)
    assert np.argwhere(np.isnan(moved[0, 2:, 2:])).tolist() == [[3, 5]]


@pytest.mark.parametrize("shift", [[1.0], np.ones(4), np.nan, 30.0])
def test_shifts_that_make_no_sense_are_refused(shift) -> None:
    with pytest.raises(ValueError, match="shift"):
        shifted(np.ones((3, 10, 10), np.float32), shift, 0.0)
