"""The stage: its motors take their time, can be stopped, and know their range."""

import time

import pytest
from ophyd.utils import LimitError

from models.scan import FlyScan
from plans.devices.stage import Stage
from plans.devices.timing import BeamlineTiming

TIMING = BeamlineTiming(linear_speed_um_s=50.0, rotation_speed_deg_s=5.0, settle_s=0.1)


def make_stage(time_scale: float) -> Stage:
    return Stage(name="stage", timing=TIMING, time_scale=time_scale)


def test_a_move_takes_the_time_of_its_speed() -> None:
    stage = make_stage(time_scale=0.05)
    started = time.monotonic()
    status = stage.theta.set(20.0)
    assert not status.done
    status.wait(5)
    assert time.monotonic() - started >= 0.05 * (20.0 / 5.0 + 0.1)
    assert stage.theta.position == 20.0
    assert stage.theta.read()["stage_theta"]["value"] == 20.0


def test_without_time_a_move_is_done_at_once() -> None:
    stage = make_stage(time_scale=0.0)
    assert stage.theta.set(180.0).done
    assert stage.theta.position == 180.0


def test_a_stopped_motor_stays_where_it_was() -> None:
    stage = make_stage(time_scale=100.0)
    status = stage.x.set(40.0)
    time.sleep(0.05)
    stage.x.stop(success=True)
    status.wait(5)
    assert 0 < stage.x.position < 40.0
    assert not stage.x.moving


def test_a_motor_refuses_to_leave_its_range() -> None:
    with pytest.raises(LimitError):
        make_stage(0.0).y.set(51.0)


def test_a_raster_beyond_the_range_is_named_with_its_axis() -> None:
    scan = FlyScan((10, 10), step_nm=1000.0, dwell_s=0.01, centre_um=(0.0, 46.0))
    with pytest.raises(ValueError, match=r"x from 41.5 to 50.5 um"):
        make_stage(0.0).check_reach(scan)
