import json

import numpy as np
import pytest

from models.run_schema import ProjectionStart, XrfDetector
from models.scan import FlyScan, ordered_angles


def _start(**changes: object) -> ProjectionStart:
    values = {
        "series_uid": "3f2b",
        "series_name": "test",
        "sample_name": "cathode",
        "angle_index": 1,
        "n_angles": 3,
        "theta_deg": 60.0,
        "purpose": "coarse",
        "energy_kev": 10.0,
        "elements": ("Zn", "Mn"),
        "scan": FlyScan.over((1.2, 2.4), 120.0, 0.03, snake=True),
        "detector": XrfDetector(),
        "i0_nominal": 1e5,
        "angles_deg": (0.0, 60.0, 120.0),
    }
    return ProjectionStart(**(values | changes))  # type: ignore[arg-type]


def test_pixels_are_centred_in_the_field_of_view() -> None:
    scan = FlyScan.over((1.2, 2.4), step_nm=120.0, dwell_s=0.03, centre_um=(5.0, -3.0))
    assert scan.shape == (10, 20)
    assert scan.y_um().mean() == pytest.approx(5.0)
    assert scan.x_um().mean() == pytest.approx(-3.0)
    assert scan.x_um()[-1] - scan.x_um()[0] == pytest.approx(2.4 - 0.12)
    assert np.allclose(np.diff(scan.x_um()), 0.12)


def test_only_odd_rows_of_a_snake_are_flown_backwards() -> None:
    snake = FlyScan((4, 4), 100.0, 0.03, snake=True)
    assert [snake.is_reversed(row) for row in range(4)] == [False, True, False, True]
    assert not FlyScan((4, 4), 100.0, 0.03).is_reversed(1)


def test_unequal_lines_start_and_stand_within_their_tolerance_and_differently() -> None:
    regular = FlyScan((40, 30), 100.0, 0.03, centre_um=(2.0, 1.0))
    unequal = regular.with_unequal_lines(seed=3)
    along = np.array([unequal.row_x_um(row) - regular.x_um() for row in range(40)])
    across = unequal.y_um() - regular.y_um()
    assert np.ptp(along, axis=1).max() < 1e-12
    assert 0.04 < np.abs(along).max() <= 0.05 + 1e-12
    assert 0.025 < np.abs(across).max() <= 0.03 + 1e-12
    assert len(set(across)) == len(set(along[:, 0])) == 40
    assert (np.diff(unequal.y_um()) > 0).all()
    assert unequal == regular.with_unequal_lines(seed=3) != regular.with_unequal_lines(seed=4)
    assert regular.is_regular
    assert not unequal.is_regular


def test_rows_of_a_regular_raster_are_all_the_same() -> None:
    scan = FlyScan((4, 4), 100.0, 0.03)
    np.testing.assert_array_equal(scan.row_x_um(3), scan.x_um())


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (0, 3)},
        {"step_nm": float("nan")},
        {"dwell_s": -1.0},
        {"motion": "jump"},
        {"row_offset_y_um": (0.0, 0.1)},
        {"row_offset_x_um": (0.0, 0.1, float("inf"))},
    ],
)
def test_an_impossible_raster_is_refused_with_what_to_do(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="pass"):
        FlyScan(**({"shape": (3, 3), "step_nm": 100.0, "dwell_s": 0.03} | wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["monotonic", "interleaved", "golden"])
@pytest.mark.parametrize("n_angles", [1, 7, 24, 91])
def test_every_order_measures_each_angle_once(order: str, n_angles: int) -> None:
    assert sorted(ordered_angles(n_angles, order)) == list(range(n_angles))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["interleaved", "golden"])
def test_a_series_cut_short_still_covers_the_whole_range(order: str) -> None:
    first = np.sort(ordered_angles(96, order)[:24])  # type: ignore[arg-type]
    gaps = np.diff(np.concatenate([first, [first[0] + 96]]))
    assert gaps.max() <= 8


def test_a_start_document_survives_json() -> None:
    start = _start()
    assert ProjectionStart.from_metadata(json.loads(json.dumps(start.to_metadata()))) == start


def test_only_a_raster_of_unequal_lines_speaks_of_offsets() -> None:
    scan = _start().scan
    assert "row_offset_x_um" not in _start().to_metadata()["raster"]
    start = _start(scan=scan.with_unequal_lines(1))
    assert len(start.to_metadata()["raster"]["row_offset_x_um"]) == scan.shape[0]
    assert ProjectionStart.from_metadata(json.loads(json.dumps(start.to_metadata()))) == start


def test_pyxrf_reads_the_shape_fast_axis_first_and_bluesky_slow_axis_first() -> None:
    metadata = _start().to_metadata()
    assert metadata["shape"] == [10, 20]
    assert metadata["scan"]["shape"] == [20, 10]
    x_first, x_last, points, y_first, y_last, rows, dwell_s = metadata["scan"]["scan_input"]
    assert (points, rows, dwell_s) == (20, 10, 0.03)
    assert (x_first, y_first) == (-x_last, -y_last)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("series_uid", None, "has no series_uid"),
        ("raster", {"shape": [3]}, "malformed"),
        ("xrf_detector", {"colour": "blue"}, "malformed"),
        ("angle_index", 3, "counts from 0"),
        ("purpose", "holiday", "expected 'coarse' or 'fine'"),
        ("elements", [], "at least one element"),
    ],
)
def test_a_malformed_start_document_is_named(key: str, value: object, message: str) -> None:
    metadata = _start().to_metadata()
    if value is None:
        del metadata[key]
    else:
        metadata[key] = value
    with pytest.raises(ValueError, match=message):
        ProjectionStart.from_metadata(metadata)
