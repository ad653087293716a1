"""Angular enhancement: the angles it makes, and what it says of their error."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.probe import zone_plate_probe
from models.superres.enhancers import make_enhancer
from models.tomo.algorithms import ALGORITHMS
from services.reconstruction.reprojection import (
    AngularEnhancement,
    error_factor,
    reproject,
    spread_angles,
)

OSEM = ALGORITHMS["osem"]
WIDTH, STEP_NM, SIGMA = 24, 90.0, 0.5


def ball(angles_deg: NDArray[np.float64], pixels_per_step: int = 1) -> NDArray[np.float32]:
    """A Gaussian ball of 3 steps, a little off the axis, (angle, y, u)."""
    width = WIDTH * pixels_per_step
    place = (np.arange(width) + 0.5) / pixels_per_step - WIDTH / 2
    u = place[None, None, :] - 2.0 * np.cos(np.deg2rad(angles_deg))[:, None, None]
    y = place[: width // 2, None] + WIDTH / 4
    return np.asarray(30.0 * np.exp(-(u**2 + y**2) / (2 * 3.0**2)), np.float32)


def test_new_angles_fill_the_directions_that_were_measured() -> None:
    np.testing.assert_allclose(spread_angles(np.arange(45) * 4.0, 90), np.arange(90) * 2.0)
    wedge = spread_angles(np.arange(-60.0, 61.0, 5.0), 50)
    assert 0 <= np.ptp(wedge) <= 125
    assert not ((np.mod(wedge, 180) > 66) & (np.mod(wedge, 180) < 119)).any()


def test_enhanced_re_projections_show_what_would_have_been_measured() -> None:
    angles = np.arange(24) * 7.5
    rng = np.random.default_rng(3)
    measured = (ball(angles) + rng.normal(0, SIGMA, (24, WIDTH // 2, WIDTH))).astype(np.float32)
    wanted = AngularEnhancement(
        30,
        make_enhancer("lmmse"),
        zone_plate_probe(n=32, pixel_size_nm=15.0, n_modes=1),
        "step",
        2,
        STEP_NM,
        {"Zn": np.full_like(measured, SIGMA**2)},
    )
    made = reproject({"Zn": measured}, angles, WIDTH / 2, wanted)
    fine = made.enhanced()["Zn"]
    assert fine.shape == (30, WIDTH, 2 * WIDTH)
    np.testing.assert_array_equal(made.part([7, 8]).enhanced()["Zn"], fine[7:9])
    error = fine - ball(made.angles_deg, 2)
    assert np.sqrt(np.mean(error**2)) < 1.0
    with pytest.raises(ValueError, match="24 angles were measured, ask for more"):
        reproject({"Zn": measured}, angles, WIDTH / 2, replace(wanted, n_angles=9))


@pytest.mark.parametrize("n_angles", [12, 36])
def test_the_error_told_is_hardly_below_the_true_one(n_angles: int) -> None:
    angles = np.arange(n_angles) * 180.0 / n_angles
    rng = np.random.default_rng(5)
    measured = (ball(angles) + rng.normal(0, SIGMA, (n_angles, WIDTH // 2, WIDTH))).astype(np.float32)
    told = error_factor(measured, np.full_like(measured, SIGMA**2), angles, WIDTH / 2)
    between = angles + 90.0 / n_angles
    again = OSEM.project(OSEM.reconstruct(measured, angles, WIDTH / 2, n_iterations=20), between, WIDTH / 2, WIDTH)
    true = float(np.mean((again - ball(between)) ** 2)) / SIGMA**2
    assert 0.8 * true < told < 10 * true
