"""The scanning stage: soft motors that take their time, and the encoders that say where each point was taken."""

import time
from dataclasses import dataclass
from threading import Lock, Timer
from typing import Any

import numpy as np
from ophyd import Component, Device, SoftPositioner
from ophyd.status import MoveStatus

from models.run_schema import X_UM, Y_UM
from models.scan import FlyScan
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray
from plans.devices.timing import BeamlineTiming

RANGE_UM = (-50.0, 50.0)
RANGE_DEG = (-360.0, 360.0)


@dataclass(frozen=True)
class _Journey:
    """A move on its way."""

    timer: Timer
    origin: float
    target: float
    start: float
    duration_s: float

    def position(self) -> float:
        """Where it is now."""
        done = min((time.monotonic() - self.start) / self.duration_s, 1.0)
        return self.origin + done * (self.target - self.origin)


class SimulatedMotor(SoftPositioner):
    """A motor without hardware that moves at its speed; stopped on its way, it stays where it is."""

    def __init__(self, *, limits: tuple[float, float], egu: str, **options: Any) -> None:
        super().__init__(limits=limits, egu=egu, source="sim://stage", **options)
        self._position = 0.0
        self._speed = 1.0
        self._pause_s = 0.0
        self._journey: _Journey | None = None
        self._lock = Lock()

    def set_pace(self, speed: float, settle_s: float) -> None:
        """Units per second of the wall clock, and seconds to settle after a move."""
        self._speed, self._pause_s = speed, settle_s

    def follow(self, position: float) -> None:
        """Take note of where a fly-scan has moved it."""
        self._set_position(position)

    def stop(self, *, success: bool = False) -> None:
        """End a move on its way; without one, do nothing."""
        journey = self._end_journey()
        if journey is not None:
            journey.timer.cancel()
            self._come_to_rest(journey.position(), success)

    def _setup_move(self, position: float, status: MoveStatus) -> None:
        self.stop()
        way = abs(position - self.position)
        duration_s = way / self._speed + self._pause_s if way else 0.0
        if not duration_s:
            super()._setup_move(position, status)
            return
        self._run_subs(sub_type=self.SUB_START, timestamp=time.time())
        self._started_moving = self._moving = True
        timer = Timer(duration_s, self._arrive)
        timer.daemon = True
        with self._lock:
            self._journey = _Journey(timer, self.position, position, time.monotonic(), duration_s)
        timer.start()

    def _arrive(self) -> None:
        journey = self._end_journey()
        if journey is not None:
            self._come_to_rest(journey.target, success=True)

    def _end_journey(self) -> _Journey | None:
        """The journey, for whoever ends it first: its timer or a stop."""
        with self._lock:
            journey, self._journey = self._journey, None
        return journey

    def _come_to_rest(self, position: float, success: bool) -> None:
        self._set_position(position)
        self._moving = False
        self._done_moving(success=success)


class Stage(Device):
    """x and y in um, theta in degrees about the vertical axis; x is the fast axis of a scan."""

    x = Component(SimulatedMotor, limits=RANGE_UM, egu="um")
    y = Component(SimulatedMotor, limits=RANGE_UM, egu="um")
    theta = Component(SimulatedMotor, limits=RANGE_DEG, egu="deg")

    def __init__(self, *, name: str, timing: BeamlineTiming, time_scale: float, **options: Any) -> None:
        super().__init__("", name=name, **options)
        speed = timing.linear_speed_um_s, timing.linear_speed_um_s, timing.rotation_speed_deg_s
        for motor, motor_speed in zip((self.x, self.y, self.theta), speed, strict=True):
            motor.set_pace(motor_speed / time_scale if time_scale else float("inf"), timing.settle_s * time_scale)

    def check_reach(self, scan: FlyScan) -> None:
        """Whether the stage can fly this raster.

        Raises:
            ValueError: it reaches beyond the stage's range.
        """
        low, high = RANGE_UM
        along_x_um = np.add.outer(scan.row_offset_x_um or (0.0,), scan.x_um()[[0, -1]])
        for axis, positions_um in {"x": along_x_um, "y": scan.y_um()}.items():
            first, last = float(positions_um.min()), float(positions_um.max())
            if not (low <= first and last <= high):
                raise ValueError(
                    f"the raster needs {axis} from {first:g} to {last:g} um: the stage reaches {low:g} to {high:g} um, "
                    f"pass a smaller fov_um or another centre_um"
                )


class Encoders(RowDetector):
    """Where the stage was at each point."""

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Positions (x,)."""
        return tuple(RowArray(key, "<f8", (scan.shape[1],), ("x",), "um") for key in (X_UM, Y_UM))
