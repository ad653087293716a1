"""One projection: what the documents say is what is on disk, and what is on disk is the specimen."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xraylib
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators

from models.physics.flyscan import FlyScanOperator
from models.run_schema import FRAMES, I0, LIVE_TIME_S, PROJECTION_SPEC, SPECTRA, X_UM, Y_UM, ProjectionStart
from models.xrf.fit import MapFit
from models.xrf.maps import ElementMaps
from plans.devices.beamline import Beamline
from plans.devices.faults import Faults
from plans.flyscan import flyscan_projection

Twin = Callable[..., Beamline]


def fitted(run: Any) -> ElementMaps:
    """The worker's fit of one run."""
    start = ProjectionStart.from_metadata(run.start)
    return MapFit(start.elements, start.detector, start.energy_kev).fit(
        run.array(SPECTRA),
        live_time_s=run.array(LIVE_TIME_S),
        real_time_s=run.array("xrf_real_time_s"),
        i0=run.array(I0),
        i0_nominal=start.i0_nominal,
        dwell_s=start.scan.dwell_s,
        shape=start.scan.shape,
        pixel_size_nm=start.scan.step_nm,
    )


def blurred_truth(beamline: Beamline, start: ProjectionStart) -> np.ndarray:
    """The specimen's areal density, blurred by probe and motion, on the run's raster."""
    scale = round(start.scan.step_nm / beamline.probe.pixel_size_nm)
    operator = FlyScanOperator(beamline.probe, start.scan.shape, scale, start.scan.motion)
    fine = beamline.specimen.areal_density_ug_cm2(
        start.theta_deg, operator.fine_shape, beamline.probe.pixel_size_nm, start.scan.centre_um
    )
    return operator.forward(torch.from_numpy(fine)).numpy()


def test_documents_are_valid_and_plain_json(RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any) -> None:
    RE(flyscan_projection(beamline, **(scan | {"fov_um": np.array([0.48, 0.84])}), diffraction=True, md={"user": "a"}))
    for name, document in runs[0].documents:
        schema_validators[DocumentNames[name]].validate(document)
    start = runs[0].start
    assert json.loads(json.dumps(start)) == start
    assert start["tiled_specs"] == [PROJECTION_SPEC]
    assert start["user"] == "a"
    assert start["plan_args"]["fov_um"] == [0.48, 0.84]
    assert ProjectionStart.from_metadata(start).scan.shape == (4, 7)


def test_every_row_on_disk_is_announced_once_in_every_array(
    RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any
) -> None:
    RE(flyscan_projection(beamline, **scan, diffraction=True, flush_period_s=0.01))
    described = {key: value for doc in runs[0].named("descriptor") for key, value in doc["data_keys"].items()}
    spans = runs[0].announced()
    assert set(spans) == {key for key, value in described.items() if "external" in value}
    for key, announced in spans.items():
        array = runs[0].array(key)
        assert [start for start, _ in announced] == [0, *(stop for _, stop in announced[:-1])]
        assert announced[-1][1] == len(array) == 4
        assert list(array.shape[1:]) == described[key]["shape"]
        assert array.dtype == described[key]["dtype_numpy"]
    assert spans[SPECTRA] == spans[I0] == spans[X_UM]


def test_fit_of_recorded_spectra_gives_back_the_blurred_specimen(
    RE: RunEngine, runs: list[Any], make_twin: Twin
) -> None:
    beamline = make_twin(n_detectors=2)
    RE(
        flyscan_projection(
            beamline, sample="a", fov_um=[1.2, 1.92], step_nm=120, theta_deg=-35.0, centre_um=[0.6, -1.2], dwell_s=0.1
        )
    )
    maps = fitted(runs[0])
    truth = blurred_truth(beamline, ProjectionStart.from_metadata(runs[0].start))
    inside = truth[0] > 20  # where the specimen is; an empty spectrum's variance is a floor, not an estimate
    counted_i0 = truth**2 / runs[0].start["i0_nominal"]
    pulls = ((maps.values - truth) / np.sqrt(maps.variance + counted_i0))[:, inside]
    assert np.ptp(truth[0]) > 5 * np.sqrt(maps.variance[0]).max()
    np.testing.assert_allclose(maps.values.mean(axis=(1, 2)), truth.mean(axis=(1, 2)), rtol=0.01)
    assert np.abs(pulls.mean(axis=1)).max() < 0.3
    assert pulls.std() == pytest.approx(1.0, abs=0.12)
    assert not inside.all()


def test_step_scan_at_a_step_that_is_no_multiple_of_probe_pixels(
    RE: RunEngine, runs: list[Any], beamline: Beamline
) -> None:
    RE(flyscan_projection(beamline, sample="a", fov_um=[0.5, 0.8], step_nm=100, motion="step", dwell_s=0.2))
    truth = beamline.specimen.areal_density_ug_cm2(0.0, (5, 8), 100.0)  # flat enough here to need no blur
    np.testing.assert_allclose(fitted(runs[0]).values[0], truth[0], rtol=0.15)


def test_rows_flown_backwards_are_stored_along_increasing_x(
    RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any
) -> None:
    RE(flyscan_projection(beamline, **scan, snake=True))
    start = ProjectionStart.from_metadata(runs[0].start)
    np.testing.assert_array_equal(runs[0].array(X_UM), np.tile(start.scan.x_um(), (4, 1)))
    np.testing.assert_array_equal(runs[0].array(Y_UM), np.tile(start.scan.y_um()[:, None], (1, 7)))
    assert beamline.stage.x.position == start.scan.x_um()[0]
    assert beamline.stage.y.position == start.scan.y_um()[-1]


@pytest.mark.parametrize(("snake", "missing"), [(True, slice(0, 3)), (False, slice(4, 7))])
def test_a_short_last_row_lacks_the_points_flown_last(
    RE: RunEngine, runs: list[Any], make_twin: Twin, scan: Any, snake: bool, missing: slice
) -> None:
    RE(flyscan_projection(make_twin(faults=Faults(missing_last_points=3)), **scan, snake=snake))
    expected = np.ones((4, 7), bool)
    expected[-1, missing] = False
    np.testing.assert_array_equal(fitted(runs[0]).mask, expected)
    assert not runs[0].array(SPECTRA)[~expected].any()


def test_lost_points_and_dark_rows_are_masked_and_nothing_else(
    RE: RunEngine, runs: list[Any], make_twin: Twin, scan: Any
) -> None:
    RE(flyscan_projection(make_twin(faults=Faults(nan_fraction=0.2, dark_rows=(2,))), **scan))
    lost = np.isnan(runs[0].array(LIVE_TIME_S)[..., 0])
    assert 0 < lost.sum() < 14
    i0 = runs[0].array(I0)
    np.testing.assert_array_equal(np.isnan(i0), lost)
    dark = i0 == 0
    assert dark[2, ~lost[2]].all()
    assert not dark[[0, 1, 3]].any()
    np.testing.assert_array_equal(fitted(runs[0]).mask, ~(lost | dark))


def test_diffraction_frames_hold_the_photons_that_the_specimen_lets_through(
    RE: RunEngine, runs: list[Any], beamline: Beamline
) -> None:
    RE(flyscan_projection(beamline, sample="a", fov_um=[0.24, 0.36], step_nm=120, dwell_s=1e-3, diffraction=True))
    frames = runs[0].array(FRAMES)
    assert frames.shape == (2, 3, 32, 32)
    photons = runs[0].array(I0) * beamline.detector.photons_per_i0_count
    truth = blurred_truth(beamline, ProjectionStart.from_metadata(runs[0].start))
    absorbed = sum(
        xraylib.CS_Total(number, 10.0) * plane * 1e-6 for number, plane in zip((28, 27, 25), truth, strict=True)
    )
    through = frames.sum(axis=(2, 3)) / photons
    np.testing.assert_allclose(through, np.exp(-absorbed), rtol=0.15)  # the monitor counts 1000 a point
    np.testing.assert_allclose(through.mean(), np.exp(-absorbed).mean(), rtol=0.03)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"fov_um": 4.2}, "fov_um"),
        ({"fov_um": [400.0, 4.2]}, "fov_um"),
        ({"centre_um": [0.0]}, "centre_um"),
        ({"step_nm": -1}, "step_nm"),
        ({"motion": "hover"}, "motion"),
        ({"elements": "Ni"}, "elements"),
        ({"elements": ["Xx"]}, "Xx"),
        ({"elements": ["Ni", "Mo_K"]}, "Mo_K"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_measured(
    RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        RE(flyscan_projection(beamline, **(scan | wrong)))
    assert runs == []
