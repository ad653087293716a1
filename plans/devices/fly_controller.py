"""The fly-scan controller: it flies the rows of a raster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ophyd.status import DeviceStatus

from models.run_schema import FlightPurpose, Target
from models.scan import FlyScan
from plans.devices.row_controller import RowController, RowWork
from plans.devices.row_detector import RowDetector
from plans.devices.specimen_in_beam import SpecimenInBeam
from plans.devices.stage import Stage
from plans.devices.timing import BeamlineTiming


@dataclass(frozen=True)
class Flight:
    """What to fly: one raster at the angle where the stage stands.

    Attributes:
        with_frames: take diffraction frames too.
        target: what to bring into the beam.
        filter_transmission: share of the beam that filters let through.
    """

    scan: FlyScan
    purpose: FlightPurpose = "coarse"
    with_frames: bool = False
    target: Target = "sample"
    filter_transmission: float = 1.0


class FlyController(RowController):
    """Flies a raster at the angle where the stage stands; how it is used: see `RowController`."""

    def __init__(
        self,
        *,
        stage: Stage,
        specimen_in_beam: SpecimenInBeam,
        recorders: Sequence[RowDetector],
        frame_recorders: Sequence[RowDetector],
        timing: BeamlineTiming,
        time_scale: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._stage = stage
        self._specimen_in_beam = specimen_in_beam
        self._every_flight = tuple(recorders)
        self._with_frames = tuple(frame_recorders)
        self._timing = timing
        self._time_scale = time_scale

    def prepare(self, flight: Flight) -> DeviceStatus:
        """Open a file in every recording device."""
        recorders = self._every_flight + (self._with_frames if flight.with_frames else ())
        return self.open_flight(recorders, flight.scan, lambda: self._work(flight))

    def _work(self, flight: Flight) -> RowWork:
        exposure = self._specimen_in_beam.expose(
            flight.scan,
            float(self._stage.theta.position),
            flight.purpose,
            flight.with_frames,
            flight.target,
            flight.filter_transmission,
        )
        row_s = self._timing.row_s(flight.scan) * self._time_scale
        return RowWork(flight.scan.shape[0], row_s, exposure.fly_row, lambda row: self._move_along(row, flight.scan))

    def _move_along(self, row: int, scan: FlyScan) -> None:
        end_of_row = 0 if scan.is_reversed(row) else -1
        self._stage.y.follow(float(scan.y_um()[row]))
        self._stage.x.follow(float(scan.row_x_um(row)[end_of_row]))
