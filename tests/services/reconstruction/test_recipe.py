"""The recipe against a specimen whose projections are known in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS
from models.tomo.alignment_shift import shifted
from models.tomo.interruption import Cancelled, ReconstructionCancelledError
from services.reconstruction.compute import InProcess, Told
from services.reconstruction.planes import survey
from services.reconstruction.recipe import (
    Reconstruction,
    SeriesMaps,
    Wanted,
    angular_sampling_limit,
    choose_angles,
    reconstruct_elements,
)
from services.reconstruction.shelf import MemoryShelf

FBP = ALGORITHMS["fbp"]
N_ANGLES = 36
ANGLES = tuple(np.arange(N_ANGLES) * 5.0)
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


@dataclass(frozen=True)
class Done(Reconstruction):
    """With the volumes that were written."""

    volumes: Mapping[str, NDArray[np.float32]]


def run(
    wanted: Wanted,
    fitted: Mapping[str, NDArray[np.float32]],
    enhanced: Mapping[str, NDArray[np.float32]] | None = None,
    done_angles: Sequence[int] = range(N_ANGLES),
    progress: Told = lambda _fraction, _doing: None,
    cancelled: Cancelled = lambda: False,
) -> Done:
    maps = SeriesMaps("enhanced" if enhanced else "fitted", fitted, ANGLES, done_angles, PIXEL_NM, 2 if enhanced else 1)
    shelf = MemoryShelf.of({"fitted": fitted, "enhanced": enhanced or {}})
    done = reconstruct_elements(maps, wanted, shelf, InProcess(shelf, cancelled), progress, cancelled)
    return Done(**vars(done), volumes=shelf.volumes)


def reconstruct(
    maps: Mapping[str, NDArray[np.float32]], done_angles: Sequence[int] = range(N_ANGLES), **wishes: Any
) -> Done:
    return run(Wanted(FBP, **wishes), maps, done_angles=done_angles)


@pytest.mark.parametrize(("centre_px", "truncated"), [(24.0, False), (25.7, True)])
def test_density_and_place_come_out_wherever_the_axis_stands(centre_px: float, truncated: bool) -> None:
    done = reconstruct(stacks(centre_px))
    assert done.placement.axis.centre_px == pytest.approx(centre_px, abs=0.05)
    assert done.placement.axis.truncated == truncated
    for element, ball in {"Zn": ZINC, "Mn": MANGANESE}.items():
        volume = done.volumes[element]
        z, _, x = np.unravel_index(volume.argmax(), volume.shape)
        assert volume.max() == pytest.approx(ball.peak_g_cm3, rel=0.05)
        assert (x - 23.5) * PIXEL_NM * 1e-3 == pytest.approx(ball.x_um, abs=0.04)
        assert (z - 23.5) * PIXEL_NM * 1e-3 == pytest.approx(ball.z_um, abs=0.04)
        assert done.quality[element].reprojection_residual < 0.02
        assert done.quality[element].mass_spread < 0.01


def test_a_given_centre_is_taken_and_a_wrong_one_shows_in_the_quality() -> None:
    right, wrong = (reconstruct({"Zn": stacks()["Zn"]}, centre=centre) for centre in (24.0, 26.0))
    axis = right.placement.axis
    assert (axis.centre_px, axis.sigma_px, axis.method) == (24.0, None, "given")
    assert wrong.quality["Zn"].reprojection_residual > 5 * right.quality["Zn"].reprojection_residual


def test_a_refined_centre_says_how_far_it_went() -> None:
    axis = reconstruct({"Zn": stacks(24.6)["Zn"]}, centre="refine").placement.axis
    assert axis.centre_px == pytest.approx(24.6, abs=0.05)
    assert axis.method == "least reprojection residual"
    assert "px from the sinusoid" in axis.reason


def test_shifts_seen_on_one_element_bring_all_into_place() -> None:
    wobble = np.random.default_rng(4).uniform(-2, 2, len(ANGLES))
    moved = {element: np.nan_to_num(shifted(stack, 0.0, wobble)) for element, stack in stacks().items()}
    as_measured = reconstruct(moved)
    aligned = reconstruct(moved, align_on="Zn")
    assert aligned.placement.alignment is not None
    for element in moved:
        assert aligned.quality[element].reprojection_residual < 0.3 * as_measured.quality[element].reprojection_residual
    with pytest.raises(ValueError, match="pass sum, or one of Zn, Mn"):
        reconstruct(moved, align_on="Fe")


def test_fine_maps_are_moved_by_as_many_of_their_pixels() -> None:
    wobble = np.random.default_rng(4).uniform(-2, 2, len(ANGLES))
    coarse = {"Zn": np.nan_to_num(shifted(stacks()["Zn"], 0.0, wobble))}
    fine = {"Zn": coarse["Zn"].repeat(2, axis=1).repeat(2, axis=2)}
    done = run(Wanted(FBP, {"window": "hann"}, align_on="sum"), coarse, fine)
    assert done.voxel_size_nm == PIXEL_NM / 2
    assert done.placement.axis.centre_px == pytest.approx(2 * done.placement.fitted_centre_px)
    assert done.quality["Zn"].reprojection_residual < 0.1


def test_halves_of_fitted_maps_tell_a_resolution_and_those_of_enhanced_maps_say_that_they_do_not() -> None:
    rng = np.random.default_rng(2)
    coarse = {"Zn": (stacks()["Zn"] + rng.normal(0, 3.0, (N_ANGLES, *SHAPE))).astype(np.float32)}
    fine = {"Zn": coarse["Zn"].repeat(2, axis=1).repeat(2, axis=2)}
    fitted, enhanced = run(Wanted(FBP, halves=True), coarse, fine).halves["Zn"]
    assert (fitted.source, fitted.is_independent, fitted.pixel_size_nm) == ("fitted", True, PIXEL_NM)
    assert (enhanced.source, enhanced.is_independent) == ("enhanced", False)
    assert "overstates the resolution" in enhanced.note
    assert fitted.frequency_per_nm[-1] == pytest.approx(1 / (2 * PIXEL_NM))
    assert len(fitted.thresholds["half_bit"]) == len(fitted.curve.values)


def test_halves_that_agree_to_the_end_are_said_to_reach_two_pixels() -> None:
    done = reconstruct({"Zn": stacks()["Zn"]}, halves=True)
    assert done.halves["Zn"][0].words["half_bit"].startswith("<= 80 nm (Nyquist: two pixels)")
    assert reconstruct({"Zn": stacks()["Zn"]}).halves["Zn"] == ()


def test_unfinished_angles_are_left_out_and_named() -> None:
    maps = stacks()
    for stack in maps.values():
        stack[[4, 9]] = np.nan
    done = reconstruct(maps, [index for index in range(N_ANGLES) if index not in (4, 9)])
    assert done.choice.excluded == (4, 9)
    assert done.choice.filled_points == 0
    assert all(np.isfinite(volume).all() for volume in done.volumes.values())


def test_a_few_unmeasured_points_are_filled_and_counted_but_many_exclude_the_angle() -> None:
    maps = stacks()
    maps["Zn"][7, 2, 10:14] = np.nan
    maps["Mn"][8, :4] = np.nan
    surveys = {element: survey(stack) for element, stack in maps.items()}
    choice = choose_angles(surveys, ANGLES, range(N_ANGLES), may_fill=True)
    assert (choice.excluded, choice.filled_points) == ((8,), 4)
    assert choose_angles(surveys, ANGLES, range(N_ANGLES), may_fill=False).excluded == (7, 8)


def test_an_angle_of_unknown_size_cannot_be_used() -> None:
    angles = (np.nan, *ANGLES[1:])
    surveys = {element: survey(stack) for element, stack in stacks().items()}
    assert choose_angles(surveys, angles, range(N_ANGLES), may_fill=True).excluded == (0,)


def test_nothing_measured_is_said_so() -> None:
    with pytest.raises(ValueError, match="none of the 36 angles"):
        reconstruct({"Zn": np.full((N_ANGLES, *SHAPE), np.nan, np.float32)})


def test_it_stops_when_asked_and_tells_its_progress_in_order() -> None:
    told: list[float] = []
    with pytest.raises(ReconstructionCancelledError):
        run(Wanted(FBP), stacks(), progress=lambda f, _: told.append(f), cancelled=lambda: len(told) > 2)
    told.clear()
    run(Wanted(FBP, halves=True), stacks(), progress=lambda f, _: told.append(f))
    assert told == sorted(told)
    assert 0 <= min(told) <= max(told) <= 1


def test_the_sampling_limit_is_that_of_crowther_and_a_missing_wedge_raises_it() -> None:
    even = np.arange(90) * 2.0
    assert angular_sampling_limit(even, 9000.0) == pytest.approx(np.pi * 9000.0 / 90)
    assert angular_sampling_limit(even[even < 120], 9000.0) == pytest.approx(np.deg2rad(62) * 9000.0)
