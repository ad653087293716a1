"""The fly-scan controller: one thread flies the rows, and every device records each of them before the next begins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from bluesky.run_engine import NoReplayAllowed
from ophyd import Device
from ophyd.status import DeviceStatus

from models.run_schema import FlightPurpose, Target
from models.scan import FlyScan
from plans.devices.exposure import Exposure
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


class _Gate:
    """Holds the rows back while the plan pauses, and ends them when it is over."""

    def __init__(self) -> None:
        self._open = Event()
        self._open.set()
        self._disturbed = Event()
        self._cancelled = False

    def pause(self) -> None:
        self._open.clear()
        self._disturbed.set()

    def resume(self) -> None:
        if not self._cancelled:
            self._disturbed.clear()
        self._open.set()

    def cancel(self) -> None:
        self._cancelled = True
        self._disturbed.set()
        self._open.set()

    def let_through(self) -> bool:
        """Wait until rows may be flown; False when the flight is over."""
        self._open.wait()
        return not self._cancelled

    def sleep(self, seconds: float) -> bool:
        """Whether this time went by undisturbed."""
        return not self._disturbed.wait(max(seconds, 0.0))


class FlyController(Device):
    """Flies a raster: ``prepare`` opens the files, ``kickoff`` starts the rows, ``complete`` says when they are done.

    A pause takes effect at once: the row in flight is dropped and flown again when the plan resumes, so that a beam
    that went away (which is why plans pause) leaves no trace in the data. Rows that were recorded stay recorded. From
    ``prepare`` until ``unstage`` nothing may be replayed: what is on disk cannot be taken back.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        stage: Stage,
        specimen_in_beam: SpecimenInBeam,
        recorders: Sequence[RowDetector],
        frame_recorders: Sequence[RowDetector],
        beam_fraction: Callable[[], float],
        timing: BeamlineTiming,
        time_scale: float,
        **options: Any,
    ) -> None:
        super().__init__("", name=name, **options)
        self._folder = folder
        self._stage = stage
        self._specimen_in_beam = specimen_in_beam
        self._every_flight = tuple(recorders)
        self._with_frames = tuple(frame_recorders)
        self._beam_fraction = beam_fraction
        self._timing = timing
        self._time_scale = time_scale
        self._flight: Flight | None = None
        self._recorders: tuple[RowDetector, ...] = ()
        self._gate = _Gate()
        self._thread: Thread | None = None
        self._landed: DeviceStatus | None = None

    def prepare(self, flight: Flight) -> DeviceStatus:
        """Open a file in every recording device."""
        self._flight = flight
        self._gate = _Gate()
        self._recorders = self._every_flight + (self._with_frames if flight.with_frames else ())
        flight_uid = uuid4().hex
        for recorder in self._recorders:
            recorder.open_file(self._folder, flight_uid, flight.scan)
        return self._done()

    def kickoff(self) -> DeviceStatus:
        """Start the rows."""
        if self._flight is None:
            raise RuntimeError(f"{self.name} has no flight: prepare it before kickoff")
        self._landed = DeviceStatus(self, call_stop_on_failure=False)  # the failing thread cannot wait for itself
        self._thread = Thread(target=self._fly, args=(self._flight, self._landed), name=self.name, daemon=True)
        self._thread.start()
        return self._done()

    def complete(self) -> DeviceStatus:
        """When the last row is on disk, or the flight was ended before."""
        if self._landed is None:
            raise RuntimeError(f"{self.name} does not fly: kick it off before complete")
        return self._landed

    def stop(self, *, success: bool = False) -> None:
        """End the flight, dropping the row that is in flight, and close the files."""
        self._gate.cancel()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for recorder in self._recorders:
            recorder.close_file()
        super().stop(success=success)

    def pause(self) -> None:
        """Hold back further rows."""
        if self._flight is not None:
            self._gate.pause()
            raise NoReplayAllowed

    def resume(self) -> None:
        """Go on with the row that was dropped."""
        self._gate.resume()

    def unstage(self) -> list[object]:
        """Leave nothing running and no file open."""
        self.stop()
        self._flight = None
        unstaged: list[object] = super().unstage()
        return unstaged

    def _done(self) -> DeviceStatus:
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def _fly(self, flight: Flight, landed: DeviceStatus) -> None:
        try:
            exposure = self._specimen_in_beam.expose(
                flight.scan,
                float(self._stage.theta.position),
                flight.purpose,
                flight.with_frames,
                flight.target,
                flight.filter_transmission,
            )
            for row in range(flight.scan.shape[0]):
                if not self._fly_row(row, exposure):
                    break
        except Exception as error:  # the outermost frame of a thread: the plan gets it
            landed.set_exception(error)
        else:
            landed.set_finished()

    def _fly_row(self, row: int, exposure: Exposure) -> bool:
        """Fly a row until it succeeds undisturbed; False when the flight is over."""
        row_s = self._timing.row_s(exposure.scan) * self._time_scale
        while self._gate.let_through():
            end = time.monotonic() + row_s
            reading = exposure.fly_row(row, self._beam_fraction())
            if self._gate.sleep(end - time.monotonic()):
                for recorder in self._recorders:
                    recorder.record(reading)
                self._move_along(row, exposure.scan)
                return True
        return False

    def _move_along(self, row: int, scan: FlyScan) -> None:
        end_of_row = 0 if scan.is_reversed(row) else -1
        self._stage.y.follow(float(scan.y_um()[row]))
        self._stage.x.follow(float(scan.row_x_um(row)[end_of_row]))
