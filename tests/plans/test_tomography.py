"""A series: which angles, in which order, and how its runs hang together."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from models.run_schema import I0, SPECTRA, ProjectionStart
from models.scan import ordered_angles
from plans.devices.beamline import Beamline
from plans.tomography import bind, coarse_flyscan_tomo

Twin = Callable[..., Beamline]
TINY = {"sample": "NMC 811", "fov_um": [0.12, 0.24], "step_nm": 120, "flush_period_s": 0.05}


@pytest.mark.parametrize("order", ["monotonic", "interleaved"])
def test_angles_are_measured_in_the_order_asked_for(
    RE: RunEngine, runs: list[Any], beamline: Beamline, order: Any
) -> None:
    angles_deg = np.linspace(0, 180, 9, endpoint=False)
    result = RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=angles_deg, order=order)).plan_result
    starts = [ProjectionStart.from_metadata(run.start) for run in runs]
    assert [start.angle_index for start in starts] == ordered_angles(9, order)
    assert [start.theta_deg for start in starts] == [angles_deg[i] for i in ordered_angles(9, order)]
    assert {start.angles_deg for start in starts} == {tuple(angles_deg)}
    assert {start.series_uid for start in starts} == {result.series_uid}
    assert [run.start["uid"] for run in runs] == list(result.run_uids)
    assert json.loads(json.dumps(runs[0].start["plan_args"]))["angles_deg"] == angles_deg.tolist()


def test_the_specimen_is_seen_at_the_angle_of_the_stage(RE: RunEngine, runs: list[Any], beamline: Beamline) -> None:
    RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=[0.0, 70.0]))
    assert [run.named("event")[0]["data"]["stage_theta"] for run in runs] == [0.0, 70.0]
    assert (runs[0].array(SPECTRA).sum(axis=-1) != runs[1].array(SPECTRA).sum(axis=-1)).all()


def test_a_fine_scan_stands_beside_each_coarse_one_and_names_it(
    RE: RunEngine, runs: list[Any], beamline: Beamline
) -> None:
    RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=[0.0, 30.0], fine_step_nm=60))
    starts = [ProjectionStart.from_metadata(run.start) for run in runs]
    assert [start.purpose for start in starts] == ["coarse", "fine"] * 2
    assert [start.angle_index for start in starts] == [0, 0, 1, 1]
    assert [start.scan.shape for start in starts] == [(1, 2), (2, 4)] * 2
    assert [start.paired_run_uid for start in starts] == [None, runs[0].start["uid"], None, runs[2].start["uid"]]


def test_going_on_with_a_series_measures_what_remains_of_it(RE: RunEngine, runs: list[Any], beamline: Beamline) -> None:
    remaining = {"angles_deg": [0.0, 30.0, 60.0, 90.0], "series_uid": "5e71e5aa", "angle_indices": [3, 1]}
    RE(coarse_flyscan_tomo(beamline, **TINY, **remaining, series_name="night shift"))
    starts = [ProjectionStart.from_metadata(run.start) for run in runs]
    assert [(start.angle_index, start.theta_deg) for start in starts] == [(1, 30.0), (3, 90.0)]
    assert {(start.series_uid, start.series_name, start.n_angles) for start in starts} == {
        ("5e71e5aa", "night shift", 4)
    }


def test_noise_is_new_for_a_retaken_angle_and_the_same_in_a_new_session(
    RE: RunEngine, runs: list[Any], make_twin: Twin
) -> None:
    first, second = make_twin(), make_twin()
    for beamline, angles_deg in ((first, [0.0, 30.0]), (first, [30.0]), (second, [30.0])):
        RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=angles_deg))
    _, taken, retaken, in_new_session = (run.array(I0) for run in runs)
    assert (taken != retaken).any()
    np.testing.assert_array_equal(taken, in_new_session)


def test_every_start_document_tells_the_cost_of_the_series(RE: RunEngine, runs: list[Any], beamline: Beamline) -> None:
    RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=[0.0, 30.0]))
    assert runs[0].start["estimate"]["n_angles"] == 2
    assert runs[0].start["estimate"] == runs[1].start["estimate"]


def test_a_bound_plan_asks_for_everything_but_the_beamline(RE: RunEngine, runs: list[Any], beamline: Beamline) -> None:
    bound = bind(coarse_flyscan_tomo, beamline)
    assert bound.__name__ == "coarse_flyscan_tomo"
    assert bound.__doc__ == coarse_flyscan_tomo.__doc__
    assert inspect.isgeneratorfunction(bound)
    assert [*inspect.signature(bound).parameters] == [*inspect.signature(coarse_flyscan_tomo).parameters][1:]
    assert "beamline" not in bound.__annotations__
    RE(bound(**TINY, angles_deg=[0.0]))
    assert runs[0].start["plan_name"] == "coarse_flyscan_tomo"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"angles_deg": 12}, "angles_deg"),
        ({"angles_deg": []}, "angles_deg"),
        ({"angles_deg": [0.0, float("nan")]}, "angles_deg"),
        ({"order": "backwards"}, "order"),
        ({"angle_indices": [2]}, "angle_indices"),
        ({"angle_indices": [0, 0]}, "angle_indices"),
        ({"angle_indices": []}, "angle_indices"),
        ({"fine_step_nm": 0}, "step_nm"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_measured(
    RE: RunEngine, runs: list[Any], beamline: Beamline, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        RE(coarse_flyscan_tomo(beamline, **(TINY | {"angles_deg": [0.0, 30.0]} | wrong)))
    assert runs == []
