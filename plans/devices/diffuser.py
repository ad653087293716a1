"""Diffusers on their stages, and where each pattern asked them to go."""

from typing import Any

from ophyd import Component, Device, Signal

from models.structured_schema import DIFFUSER_X_UM, DIFFUSER_Y_UM
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray
from plans.devices.stage import RANGE_UM, SimulatedMotor
from plans.devices.timing import BeamlineTiming


class DiffuserStage(Device):
    """One diffuser across the beam: x and y in um, and whether it stands in the beam at all.

    What it reports is where it was asked to go. Where it really goes, some tens of nanometres beside it and elsewhere
    each time, only the camera sees.
    """

    x = Component(SimulatedMotor, limits=RANGE_UM, egu="um")
    y = Component(SimulatedMotor, limits=RANGE_UM, egu="um")
    inserted = Component(Signal, value=0)

    def __init__(self, *, name: str, timing: BeamlineTiming, time_scale: float, **options: Any) -> None:
        super().__init__("", name=name, **options)
        for motor in (self.x, self.y):
            speed = timing.linear_speed_um_s
            motor.set_pace(speed / time_scale if time_scale else float("inf"), timing.settle_s * time_scale)


class DiffuserEncoders(RowDetector):
    """Where the diffusers were asked to be in each pattern."""

    def __init__(self, *, name: str, n_diffusers: int, **options: Any) -> None:
        super().__init__(name=name, **options)
        self._n_diffusers = n_diffusers

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Places (diffuser,); NaN of one that is not in the beam."""
        del scan
        keys = (DIFFUSER_Y_UM, DIFFUSER_X_UM)
        return tuple(RowArray(key, "<f8", (self._n_diffusers,), ("diffuser",), "um") for key in keys)
