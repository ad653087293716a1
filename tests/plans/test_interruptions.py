"""Pauses, lost beam and aborts: nothing is lost, nothing is doubled, and what was recorded stays readable."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.suspenders import SuspendFloor
from bluesky.utils import FailedStatus, RunEngineInterrupted

from models.run_schema import I0, LIVE_TIME_S, SPECTRA
from plans.devices.beamline import RING_CURRENT_MA, Beamline
from plans.flyscan import flyscan_projection
from plans.ptychography import ptychography_scan
from plans.tomography import coarse_flyscan_tomo

Twin = Callable[..., Beamline]
ROW_S = 0.02 * (7 * 0.03 + 0.2)  # of the `scan` at the time scale below: 8 ms
TIME_SCALE = 0.02


def when(happened: Callable[[], bool], act: Callable[[], Any]) -> threading.Thread:
    """Act from another thread as soon as something has happened."""

    def watch() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if happened():
                act()
                return
            time.sleep(ROW_S / 20)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def after_rows(beamline: Beamline, n_rows: int, act: Callable[[], Any]) -> threading.Thread:
    """Act from another thread as soon as so many rows of the flight now to come are on disk."""

    def on_disk() -> bool:
        try:
            return beamline.xrf.get_index() >= n_rows
        except RuntimeError:
            return False  # no flight yet

    return when(on_disk, act)


def assert_equal_runs(run: Any, undisturbed: Any) -> None:
    """Every array the same, bit for bit, and announced without gap or overlap."""
    assert run.announced().keys() == undisturbed.announced().keys()
    for key, spans in run.announced().items():
        np.testing.assert_array_equal(run.array(key), undisturbed.array(key))
        assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
        assert spans[-1][1] == len(run.array(key))
    numbers = [doc["seq_nums"] for doc in run.named("stream_datum") if doc["uid"].startswith(i0_resource(run))]
    assert [number["start"] for number in numbers] == [1, *(number["stop"] for number in numbers[:-1])]


def i0_resource(run: Any) -> str:
    (uid,) = [resource["uid"] for resource in run.named("stream_resource") if resource["data_key"] == I0]
    return str(uid)


@pytest.fixture
def slow_scan(scan: dict[str, Any]) -> dict[str, Any]:
    """A scan of 12 rows, announced often."""
    return scan | {"fov_um": [1.44, 0.84], "flush_period_s": 0.01}


def test_a_paused_scan_resumes_without_loss(RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any) -> None:
    RE(flyscan_projection(make_twin(), **slow_scan))
    beamline = make_twin(time_scale=TIME_SCALE)
    pauser = after_rows(beamline, 3, RE.request_pause)
    with pytest.raises(RunEngineInterrupted):
        RE(flyscan_projection(beamline, **slow_scan))
    pauser.join()
    recorded = beamline.xrf.get_index()
    time.sleep(5 * ROW_S)
    assert beamline.xrf.get_index() == recorded < 12
    RE.resume()
    assert [run.exit_status for run in runs] == ["success", "success"]
    assert_equal_runs(runs[1], runs[0])


def test_a_scan_paused_at_every_row_is_the_same_scan(
    RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any
) -> None:
    RE(flyscan_projection(make_twin(), **slow_scan))
    beamline = make_twin(time_scale=TIME_SCALE)

    def start_or_resume() -> None:
        if RE.state == "paused":
            RE.resume()
        else:
            RE(flyscan_projection(beamline, **slow_scan))

    for n_rows in range(1, 11, 2):
        pauser = after_rows(beamline, n_rows, RE.request_pause)
        with pytest.raises(RunEngineInterrupted):
            start_or_resume()
        pauser.join()
    RE.resume()
    assert_equal_runs(runs[1], runs[0])


def test_a_paused_ptychography_scan_is_the_same_scan(
    RE: RunEngine, runs: list[Any], make_imager: Twin, overlapping_scan: Any
) -> None:
    RE(ptychography_scan(make_imager(), **overlapping_scan, flush_period_s=0.01))
    beamline = make_imager(time_scale=TIME_SCALE)
    pauser = after_rows(beamline, 2, RE.request_pause)
    with pytest.raises(RunEngineInterrupted):
        RE(ptychography_scan(beamline, **overlapping_scan, flush_period_s=0.01))
    pauser.join()
    assert beamline.camera.get_index() < 5
    RE.resume()
    assert [run.exit_status for run in runs] == ["success", "success"]
    assert_equal_runs(runs[1], runs[0])


def test_an_aborted_ptychography_scan_leaves_its_series_unmeasured(
    RE: RunEngine, runs: list[Any], make_imager: Twin, scan: Any
) -> None:
    beamline = make_imager(time_scale=TIME_SCALE)
    pauser = after_rows(beamline, 2, RE.request_pause)
    with pytest.raises(RunEngineInterrupted):
        RE(coarse_flyscan_tomo(beamline, **scan, angles_deg=[0.0], probe_scan=True))
    pauser.join()
    RE.abort("the star fell")
    assert [run.exit_status for run in runs] == ["abort"]


def test_a_deferred_pause_finishes_the_projection_in_flight(
    RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any
) -> None:
    beamline = make_twin(time_scale=TIME_SCALE)
    pauser = after_rows(beamline, 2, lambda: RE.request_pause(defer=True))
    with pytest.raises(RunEngineInterrupted):
        RE(coarse_flyscan_tomo(beamline, **slow_scan, angles_deg=[0.0, 30.0]))
    pauser.join()
    assert [run.exit_status for run in runs] == ["success"]
    RE.resume()
    assert [run.exit_status for run in runs] == ["success", "success"]


def test_a_pause_while_the_stage_turns_takes_the_turn_up_again(
    RE: RunEngine, runs: list[Any], make_twin: Twin, scan: Any
) -> None:
    beamline = make_twin(time_scale=TIME_SCALE)
    pauser = threading.Timer(0.1, RE.request_pause)
    pauser.start()
    with pytest.raises(RunEngineInterrupted):
        RE(flyscan_projection(beamline, **scan, theta_deg=60.0))  # 0.24 s away
    assert 0 < beamline.stage.theta.position < 60.0
    RE.resume()
    assert runs[0].exit_status == "success"
    assert runs[0].named("event")[0]["data"]["stage_theta"] == 60.0


def test_lost_beam_suspends_the_scan_and_leaves_no_dark_point(
    RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any
) -> None:
    RE(flyscan_projection(make_twin(), **slow_scan))
    beamline = make_twin(time_scale=4 * TIME_SCALE)
    RE.install_suspender(SuspendFloor(beamline.ring_current, 0.5 * RING_CURRENT_MA))

    def dump_and_refill() -> None:
        beamline.ring_current.put(0.0)
        time.sleep(0.2)
        beamline.ring_current.put(RING_CURRENT_MA)

    dump = after_rows(beamline, 3, dump_and_refill)
    RE(flyscan_projection(beamline, **slow_scan))
    dump.join()
    assert runs[1].exit_status == "success"
    assert_equal_runs(runs[1], runs[0])


def test_without_a_suspender_lost_beam_is_recorded_as_it_is(
    RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any
) -> None:
    beamline.ring_current.put(0.0)
    RE(flyscan_projection(beamline, **scan))
    assert not runs[0].array(I0).any()
    assert not runs[0].array(SPECTRA).any()
    assert np.isfinite(runs[0].array(LIVE_TIME_S)).all()


def test_an_aborted_angle_is_marked_readable_and_can_be_taken_again(
    RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any
) -> None:
    beamline = make_twin(time_scale=TIME_SCALE)
    series = slow_scan | {"angles_deg": [0.0, 30.0, 60.0]}
    pauser = after_rows(beamline, 4, RE.request_pause)
    with pytest.raises(RunEngineInterrupted):
        RE(coarse_flyscan_tomo(beamline, **series))
    pauser.join()
    RE.abort("the stage slipped")
    aborted = runs[0]
    assert aborted.exit_status == "abort"
    assert "flyer" not in [thread.name for thread in threading.enumerate()]
    assert 4 <= len(aborted.array(SPECTRA)) < 12
    for key, spans in aborted.announced().items():
        assert spans[-1][1] == len(aborted.array(key))

    beamline.ring_current.put(RING_CURRENT_MA)
    result = RE(
        coarse_flyscan_tomo(beamline, **series, series_uid=aborted.start["series_uid"], angle_indices=[0, 1, 2])
    ).plan_result
    assert result.run_uids == tuple(run.start["uid"] for run in runs[1:])
    assert [run.start["angle_index"] for run in runs[1:]] == [0, 1, 2]
    assert {run.start["series_uid"] for run in runs} == {result.series_uid}
    retaken = runs[1].array(SPECTRA)[: len(aborted.array(SPECTRA))]
    assert (retaken != aborted.array(SPECTRA)).any()


def test_a_halt_leaves_no_thread_and_no_open_file(
    RE: RunEngine, runs: list[Any], make_twin: Twin, slow_scan: Any
) -> None:
    beamline = make_twin(time_scale=TIME_SCALE)

    def announced() -> bool:
        return any(datum["indices"]["stop"] >= 2 for run in runs for datum in run.named("stream_datum"))

    pauser = when(announced, RE.request_pause)
    with pytest.raises(RunEngineInterrupted):
        RE(flyscan_projection(beamline, **slow_scan))
    pauser.join()
    RE.halt()
    assert runs[0].exit_status == "abort"
    assert "flyer" not in [thread.name for thread in threading.enumerate()]
    assert len(runs[0].array(SPECTRA)) >= 2


def test_a_failing_flight_fails_its_run_and_the_beamline_lives(
    RE: RunEngine, runs: list[Any], beamline: Beamline, scan: Any
) -> None:
    beamline.ring_current.put("unplugged")
    with pytest.raises(FailedStatus):
        RE(flyscan_projection(beamline, **scan))
    assert runs[0].exit_status == "fail"
    beamline.ring_current.put(RING_CURRENT_MA)
    RE(flyscan_projection(beamline, **scan))
    assert runs[1].exit_status == "success"
