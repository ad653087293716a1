"""Ptychography: overlapping frames at places that are known, of an object that is strong, beside a run of its own."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators

from models.physics.diffraction import FarField, transmission
from models.run_schema import (
    BLIND_PIXELS,
    FRAMES,
    I0,
    PTYCHOGRAPHY_SPEC,
    SPECTRA,
    X_UM,
    Y_UM,
    ProjectionStart,
    PtychographyStart,
)
from models.scan import FlyScan
from plans.arguments import overlapping_raster
from plans.devices.beamline import Beamline
from plans.devices.faults import Faults
from plans.ptychography import ptychography_scan
from plans.tomography import coarse_flyscan_tomo

Twin = Callable[..., Beamline]
TINY: dict[str, Any] = {"sample": "NMC 811", "fov_um": [0.12, 0.24], "step_nm": 120, "flush_period_s": 0.05}
SCAN: dict[str, Any] = {"sample": "NMC 811", "fov_um": [0.22, 0.31], "step_nm": 45}
"""5 rows of 7 points."""


@pytest.fixture
def imager(make_imager: Twin) -> Beamline:
    """The twin with nothing special about it."""
    return make_imager()


def foretold(beamline: Beamline, run: Any, y_um: np.ndarray, x_um: np.ndarray) -> np.ndarray:
    """Mean counts (row, x, qy, qx) of a run, had the stage been at these places (row, x)."""
    start = PtychographyStart.from_metadata(run.start)
    pixel_um, side = beamline.probe.pixel_size_nm * 1e-3, 2 * 64
    specimen = beamline.specimen_in_beam.targets[start.target]
    density = specimen.areal_density_ug_cm2(start.theta_deg, (side, side), pixel_um * 1e3)
    wave = transmission(density, specimen.elements, start.energy_kev)
    places_px = np.stack([y_um, x_um]) / pixel_um + (side - 1) / 2
    far_field = FarField(beamline.probe, wave, places_px, start.scan.step_nm * 1e-3 / pixel_um, start.frame_shape)
    return np.stack([far_field.row(row) for row in range(len(x_um))]) * start.photons_per_frame


def misfit(frames: np.ndarray, expected: np.ndarray) -> float:
    """Mean squared deviation in units of the counting noise, where there is light; each frame's photons as counted."""
    expected = expected * (frames.sum(axis=(2, 3), keepdims=True) / expected.sum(axis=(2, 3), keepdims=True))
    lit = expected > 20
    return float(np.mean((frames[lit] - expected[lit]) ** 2 / expected[lit]))


def test_documents_are_valid_plain_and_say_all_that_recovery_needs(
    RE: RunEngine, runs: list[Any], imager: Beamline
) -> None:
    uid = RE(ptychography_scan(imager, **SCAN, series_uid="5e71e5aa", md={"user": "a"})).plan_result
    for name, document in runs[0].documents:
        schema_validators[DocumentNames[name]].validate(document)
    start = runs[0].start
    assert json.loads(json.dumps(start)) == start
    assert (start["uid"], start["user"], start["tiled_specs"]) == (uid, "a", [PTYCHOGRAPHY_SPEC])
    assert start["specimen"]["name"] == "siemens-star"
    assert start["plan_args"]["step_nm"] == 45
    read = PtychographyStart.from_metadata(start)
    assert (read.series_uid, read.optics, read.frame_shape) == ("5e71e5aa", "Gaussian, 60 nm", (32, 32))
    assert read.object_pixel_nm == pytest.approx(64 * 7.5 / 32, rel=1e-9)
    assert not read.scan.is_regular


def test_every_row_is_announced_once_with_spectra_beside_the_frames(
    RE: RunEngine, runs: list[Any], imager: Beamline
) -> None:
    RE(ptychography_scan(imager, **SCAN, flush_period_s=0.01))
    for key, spans in runs[0].announced().items():
        assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
        assert spans[-1][1] == len(runs[0].array(key)) == 5
    assert runs[0].array(FRAMES).shape == (5, 7, 32, 32)
    assert runs[0].array(SPECTRA).shape[:2] == (5, 7)


def test_encoders_see_unequal_lines_where_the_start_document_says(
    RE: RunEngine, runs: list[Any], imager: Beamline
) -> None:
    RE(ptychography_scan(imager, **SCAN, line_seed=4))
    scan = PtychographyStart.from_metadata(runs[0].start).scan
    x_um, y_um = runs[0].array(X_UM), runs[0].array(Y_UM)
    np.testing.assert_allclose(x_um, [scan.row_x_um(row) for row in range(5)])
    np.testing.assert_allclose(y_um, np.repeat(scan.y_um()[:, None], 7, axis=1))
    assert np.std(x_um[:, 0]) > 0.005
    assert imager.stage.x.position == pytest.approx(x_um[-1, -1])


def test_frames_belong_to_where_the_encoders_were_and_not_to_where_they_should_have_been(
    RE: RunEngine, runs: list[Any], make_imager: Twin
) -> None:
    beamline = make_imager(faults=Faults(jitter_nm=8.0))
    RE(ptychography_scan(beamline, **SCAN))
    frames, x_um, y_um = (runs[0].array(key) for key in (FRAMES, X_UM, Y_UM))
    scan = PtychographyStart.from_metadata(runs[0].start).scan
    asked_x_um = np.array([scan.row_x_um(row) for row in range(5)])
    asked_y_um = np.repeat(scan.y_um()[:, None], 7, axis=1)
    assert misfit(frames, foretold(beamline, runs[0], y_um, x_um)) == pytest.approx(1.0, abs=0.1)
    assert misfit(frames, foretold(beamline, runs[0], asked_y_um, asked_x_um)) > 3
    assert misfit(frames, foretold(beamline, runs[0], -y_um, x_um)) > 3


def test_spectra_and_frames_see_the_same_places_of_unequal_lines(make_imager: Twin) -> None:
    """The tantalum in the probe, as spectra weigh it, and the light it takes from the frames are one map."""
    beamline = make_imager(frame_side_px=64, faults=Faults(jitter_nm=8.0))
    scan = FlyScan((11, 12), 45.0, 0.02).with_unequal_lines(2)
    exposure = beamline.specimen_in_beam.expose(scan, 0.0, "probe", with_frames=True, target="calibration")
    through = np.stack([exposure.far_field.row(row).sum(axis=(1, 2)) for row in range(11)])
    assert np.corrcoef(exposure.areal_density_ug_cm2[0].ravel(), through.ravel())[0, 1] < -0.999


def test_default_photons_reach_the_specimen_and_no_pixel_saturates(
    RE: RunEngine, runs: list[Any], imager: Beamline
) -> None:
    RE(ptychography_scan(imager, **SCAN))
    frames = runs[0].array(FRAMES)
    on_specimen = runs[0].array(I0).mean() * imager.detector.photons_per_i0_count
    assert on_specimen == pytest.approx(1e5, rel=0.02)
    assert runs[0].start["flux_hz"] * 0.02 == pytest.approx(1e5)
    assert 0.7e5 < frames.sum(axis=(2, 3)).mean() < 1e5
    assert frames.max() < 0.1 * np.iinfo(np.uint16).max


def test_blind_pixels_count_nothing_and_the_cameras_configuration_shows_them(
    RE: RunEngine, runs: list[Any], make_imager: Twin
) -> None:
    gap = np.zeros((32, 32), bool)
    gap[:, 20:22] = True
    RE(ptychography_scan(make_imager(dead_pixels=gap, beam_stop_px=4.0), **SCAN))
    (described,) = [doc for doc in runs[0].named("descriptor") if doc["name"] == "diffraction"]
    blind = np.array(described["configuration"]["camera"]["data"][BLIND_PIXELS], bool)
    assert blind[gap].all()
    assert blind[16, 16]
    assert blind.sum() == gap.sum() + 9
    frames = runs[0].array(FRAMES)
    assert not frames[..., blind].any()
    assert frames.sum(axis=(0, 1))[8:24, 8:24][~blind[8:24, 8:24]].all()


def test_without_dead_pixels_or_stop_no_pixel_is_blind(RE: RunEngine, runs: list[Any], imager: Beamline) -> None:
    RE(ptychography_scan(imager, **SCAN))
    (described,) = [doc for doc in runs[0].named("descriptor") if doc["name"] == "diffraction"]
    assert not np.any(described["configuration"]["camera"]["data"][BLIND_PIXELS])


def test_the_sample_itself_can_be_the_target(RE: RunEngine, runs: list[Any], imager: Beamline) -> None:
    RE(ptychography_scan(imager, **SCAN, target="sample", theta_deg=30.0))
    assert runs[0].start["specimen"]["name"] == "nmc-particle"
    assert runs[0].named("event")[0]["data"]["stage_theta"] == 30.0


def test_by_default_it_is_20_x_20_points_that_overlap_well(beamline: Beamline) -> None:
    scan = overlapping_raster(beamline, None, None, 0.02, "fly")
    assert scan.shape == (20, 20)
    assert 0.2 < scan.step_nm / beamline.probe.extent_nm() < 0.25


def test_a_series_takes_its_probe_scan_first_and_names_it(RE: RunEngine, runs: list[Any], imager: Beamline) -> None:
    result = RE(coarse_flyscan_tomo(imager, **TINY, angles_deg=[10.0, 30.0], probe_scan=True)).plan_result
    assert [run.start["tiled_specs"][0] for run in runs] == [PTYCHOGRAPHY_SPEC, "XRFProjection", "XRFProjection"]
    assert result.probe_run_uid == runs[0].start["uid"]
    assert result.run_uids == tuple(run.start["uid"] for run in runs[1:])
    probe_start = PtychographyStart.from_metadata(runs[0].start)
    projections = [ProjectionStart.from_metadata(run.start) for run in runs[1:]]
    assert {probe_start.series_uid, *(start.series_uid for start in projections)} == {result.series_uid}
    assert {probe_start.optics, *(start.optics for start in projections)} == {imager.optics}


def test_a_series_without_probe_scan_has_none(RE: RunEngine, runs: list[Any], imager: Beamline) -> None:
    assert RE(coarse_flyscan_tomo(imager, **TINY, angles_deg=[0.0])).plan_result.probe_run_uid is None
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"step_nm": 70}, "step_nm is 70 .* pass at most 5"),
        ({"fov_um": [0.1, 0.4]}, "2 x 9 points: pass at least 4"),
        ({"fov_um": 1.2}, "fov_um"),
        ({"dwell_s": 0.0}, "dwell_s"),
        ({"photons": 0.0}, "photons"),
        ({"photons": 1e9}, "photons is 1e.09: the beam has 1e.07 in dwell_s"),
        ({"target": "moon"}, "target is 'moon': this beamline has sample, calibration"),
        ({"centre_um": [0.0, 49.9]}, "centre_um"),
        ({"motion": "hover"}, "motion"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_measured(
    RE: RunEngine, runs: list[Any], imager: Beamline, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        RE(ptychography_scan(imager, **(SCAN | wrong)))
    assert runs == []


def test_a_beamline_without_calibration_object_says_so(RE: RunEngine, make_imager: Twin) -> None:
    with pytest.raises(ValueError, match="target is 'calibration': this beamline has sample"):
        RE(ptychography_scan(make_imager(calibration=None), **SCAN))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"beam_stop_px": 40.0}, "beam_stop_px"),
        ({"dead_pixels": np.zeros((16, 16), bool)}, "dead_pixels"),
        ({"frame_side_px": 31}, "frame_side_px"),
        ({"calibration": "cheese"}, "cheese"),
    ],
)
def test_an_impossible_camera_or_calibration_is_refused(make_imager: Twin, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_imager(**wrong)
