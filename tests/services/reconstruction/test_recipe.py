"""The recipe against a specimen whose projections are known in closed form."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS
from models.tomo.interruption import ReconstructionCancelledError
from services.reconstruction.recipe import angular_sampling_limit, choose_angles, reconstruct_elements

FBP = ALGORITHMS["fbp"]
ANGLES = tuple(np.arange(60) * 3.0)
PIXEL_NM = 40.0
SHAPE = (8, 48)


@dataclass(frozen=True)
class Ball:
    """A Gaussian ball in g/cm^3, sizes and places in um; the rotation axis stands at centre_px."""

    peak_g_cm3: float
    x_um: float
    z_um: float
    sigma_um: float = 0.2

    def project(self, centre_px: float) -> NDArray[np.float32]:
        theta = np.deg2rad(ANGLES)[:, None, None]
        u_um = (np.arange(SHAPE[1]) + 0.5 - centre_px) * PIXEL_NM * 1e-3
        y_um = ((np.arange(SHAPE[0]) - (SHAPE[0] - 1) / 2) * PIXEL_NM * 1e-3)[:, None]
        distance = u_um - self.x_um * np.cos(theta) - self.z_um * np.sin(theta)
        thickness_nm = np.sqrt(2 * np.pi) * self.sigma_um * 1e3
        ball = np.exp(-(distance**2 + y_um**2) / (2 * self.sigma_um**2))
        return (ball * self.peak_g_cm3 / 10 * thickness_nm).astype(np.float32)


ZINC, MANGANESE = Ball(3.0, 0.3, -0.2), Ball(1.5, -0.25, 0.35)


def stacks(centre_px: float = 24.0) -> dict[str, NDArray[np.float32]]:
    return {"Zn": ZINC.project(centre_px), "Mn": MANGANESE.project(centre_px)}


@pytest.mark.parametrize("centre_px", [24.0, 25.7])
def test_density_and_place_come_out_wherever_the_axis_stands(centre_px: float) -> None:
    done = reconstruct_elements(stacks(centre_px), ANGLES, range(60), PIXEL_NM, FBP, {})
    assert done.axis.centre_px == pytest.approx(centre_px, abs=0.05)
    for element, ball in {"Zn": ZINC, "Mn": MANGANESE}.items():
        volume = done.volumes[element]
        z, _, x = np.unravel_index(volume.argmax(), volume.shape)
        assert volume.max() == pytest.approx(ball.peak_g_cm3, rel=0.05)
        assert (x - 23.5) * PIXEL_NM * 1e-3 == pytest.approx(ball.x_um, abs=0.04)
        assert (z - 23.5) * PIXEL_NM * 1e-3 == pytest.approx(ball.z_um, abs=0.04)
        assert done.quality[element].reprojection_residual < 0.02
        assert done.quality[element].mass_spread < 0.01


def test_a_given_centre_is_taken_and_a_wrong_one_shows_in_the_quality() -> None:
    right = reconstruct_elements(stacks(), ANGLES, range(60), PIXEL_NM, FBP, {}, centre_px=24.0)
    wrong = reconstruct_elements(stacks(), ANGLES, range(60), PIXEL_NM, FBP, {}, centre_px=26.0)
    assert (right.axis.centre_px, right.axis.sigma_px, right.axis.method) == (24.0, None, "given")
    assert wrong.quality["Zn"].reprojection_residual > 5 * right.quality["Zn"].reprojection_residual


def test_unfinished_angles_are_left_out_and_named() -> None:
    maps = stacks()
    for stack in maps.values():
        stack[[4, 9]] = np.nan
    done_angles = [index for index in range(60) if index not in (4, 9)]
    done = reconstruct_elements(maps, ANGLES, done_angles, PIXEL_NM, FBP, {})
    assert done.choice.excluded == (4, 9)
    assert done.choice.filled_points == 0
    assert all(np.isfinite(volume).all() for volume in done.volumes.values())


def test_a_few_unmeasured_points_are_filled_and_counted_but_many_exclude_the_angle() -> None:
    maps = stacks()
    maps["Zn"][7, 2, 10:14] = np.nan
    maps["Mn"][8, :4] = np.nan
    choice = choose_angles(maps, ANGLES, range(60), may_fill=True)
    assert (choice.excluded, choice.filled_points) == ((8,), 4)
    assert choose_angles(maps, ANGLES, range(60), may_fill=False).excluded == (7, 8)


def test_an_angle_of_unknown_size_cannot_be_used() -> None:
    angles = (np.nan, *ANGLES[1:])
    assert choose_angles(stacks(), angles, range(60), may_fill=True).excluded == (0,)


def test_nothing_measured_is_said_so() -> None:
    empty = {"Zn": np.full((60, *SHAPE), np.nan, np.float32)}
    with pytest.raises(ValueError, match="none of the 60 angles"):
        reconstruct_elements(empty, ANGLES, range(60), PIXEL_NM, FBP, {})


def test_it_stops_when_asked_and_tells_its_progress_in_order() -> None:
    told: list[float] = []
    with pytest.raises(ReconstructionCancelledError):
        reconstruct_elements(
            stacks(), ANGLES, range(60), PIXEL_NM, FBP, {}, None, lambda f, _: told.append(f), lambda: len(told) > 2
        )
    reconstruct_elements(stacks(), ANGLES, range(60), PIXEL_NM, FBP, {}, None, lambda f, _: told.append(f))
    assert told[3:] == sorted(told[3:])
    assert 0 <= min(told) <= max(told) <= 1


def test_the_sampling_limit_is_that_of_crowther_and_a_missing_wedge_raises_it() -> None:
    even = np.arange(90) * 2.0
    assert angular_sampling_limit(even, 9000.0) == pytest.approx(np.pi * 9000.0 / 90)
    assert angular_sampling_limit(even[even < 120], 9000.0) == pytest.approx(np.deg2rad(62) * 9000.0)
