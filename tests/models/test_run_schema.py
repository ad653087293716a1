"""What a ptychography run says of itself."""

import json
from typing import Any

import pytest

from models.physics.photon import wavelength_nm
from models.run_schema import ProjectionStart, PtychographyStart
from models.scan import FlyScan


def start(**changes: Any) -> PtychographyStart:
    values: dict[str, Any] = {
        "sample_name": "cathode",
        "theta_deg": 0.0,
        "energy_kev": 10.0,
        "optics": "zone plate 7",
        "scan": FlyScan((20, 20), 60.0, 0.02, snake=True).with_unequal_lines(5),
        "frame_shape": (64, 64),
        "detector_distance_m": 0.43,
        "detector_pixel_um": 55.0,
        "flux_hz": 5e6,
        "target": "sample",
        "series_uid": "3f2b",
    }
    return PtychographyStart(**(values | changes))


def test_a_ptychography_start_survives_json() -> None:
    for one in (start(), start(series_uid=None, target="calibration")):
        assert PtychographyStart.from_metadata(json.loads(json.dumps(one.to_metadata()))) == one


def test_the_objects_pixel_is_wavelength_times_distance_over_the_cameras_side() -> None:
    expected_nm = wavelength_nm(10.0) * 0.43 / (64 * 55e-6)
    assert start().object_pixel_nm == pytest.approx(expected_nm)
    assert start().to_metadata()["object_pixel_nm"] == start().object_pixel_nm
    assert start(frame_shape=(32, 32)).object_pixel_nm == pytest.approx(2 * expected_nm)


def test_a_frame_gets_the_flux_of_a_dwell() -> None:
    assert start().photons_per_frame == pytest.approx(1e5)


def test_a_ptychography_run_is_no_projection() -> None:
    with pytest.raises(ValueError, match="has no series_name"):
        ProjectionStart.from_metadata(start().to_metadata())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optics", None, "has no optics"),
        ("raster", None, "has no raster"),
        ("purpose", "coarse", "expected 'probe'"),
        ("target", "moon", "expected 'calibration' or 'sample'"),
        ("raster", {"shape": [3]}, "malformed"),
        ("frame_shape", [64], "malformed"),
        ("frame_shape", [64, 32], "expected a square"),
        ("detector_distance_m", "far", "malformed"),
        ("flux_hz", 0.0, "flux_hz is 0.0"),
    ],
)
def test_a_malformed_start_document_is_named(key: str, value: object, message: str) -> None:
    metadata = start().to_metadata()
    if value is None:
        del metadata[key]
    else:
        metadata[key] = value
    with pytest.raises(ValueError, match=message):
        PtychographyStart.from_metadata(metadata)
