"""A thread that takes row after row, while every device records each of them before the next begins."""

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

from plans.devices.row_detector import RowDetector, RowReading, Rows


@dataclass(frozen=True, eq=False)
class RowWork:
    """What a thread has to do.

    Attributes:
        n_rows: how many.
        row_s: each takes, of the wall clock.
        read: one row, with the fraction of the full beam as it starts; read again, it gives the same.
        moved: tells the stages that a row is over.
    """

    n_rows: int
    row_s: float
    read: Callable[[int, float], RowReading]
    moved: Callable[[int], None]


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
        """Wait until rows may be taken; False when the flight is over."""
        self._open.wait()
        return not self._cancelled

    def sleep(self, seconds: float) -> bool:
        """Whether this time went by undisturbed."""
        return not self._disturbed.wait(max(seconds, 0.0))


class RowController(Device):
    """Takes rows: a subclass's ``prepare`` opens the files, ``kickoff`` starts, ``complete`` says when all are done.

    A pause takes effect at once: the row in flight is dropped and taken again when the plan resumes, so that a beam
    that went away (which is why plans pause) leaves no trace in the data. Rows that were recorded stay recorded. From
    ``prepare`` until ``unstage`` nothing may be replayed: what is on disk cannot be taken back.
    """

    def __init__(self, *, name: str, folder: Path, beam_fraction: Callable[[], float], **options: Any) -> None:
        super().__init__("", name=name, **options)
        self._folder = folder
        self._beam_fraction = beam_fraction
        self._begin: Callable[[], RowWork] | None = None
        self._recorders: tuple[RowDetector, ...] = ()
        self._gate = _Gate()
        self._thread: Thread | None = None
        self._landed: DeviceStatus | None = None

    def open_flight(self, recorders: Sequence[RowDetector], rows: Rows, begin: Callable[[], RowWork]) -> DeviceStatus:
        """Open a file in every recording device; ``begin`` says in the thread what is to be done."""
        self._begin = begin
        self._gate = _Gate()
        self._recorders = tuple(recorders)
        flight_uid = uuid4().hex
        for recorder in self._recorders:
            recorder.open_file(self._folder, flight_uid, rows)
        return self._done()

    def kickoff(self) -> DeviceStatus:
        """Start the rows."""
        if self._begin is None:
            raise RuntimeError(f"{self.name} has no flight: prepare it before kickoff")
        self._landed = DeviceStatus(self, call_stop_on_failure=False)  # the failing thread cannot wait for itself
        self._thread = Thread(target=self._fly, args=(self._begin, self._landed), name=self.name, daemon=True)
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
        if self._begin is not None:
            self._gate.pause()
            raise NoReplayAllowed

    def resume(self) -> None:
        """Go on with the row that was dropped."""
        self._gate.resume()

    def unstage(self) -> list[object]:
        """Leave nothing running and no file open."""
        self.stop()
        self._begin = None
        unstaged: list[object] = super().unstage()
        return unstaged

    def _done(self) -> DeviceStatus:
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def _fly(self, begin: Callable[[], RowWork], landed: DeviceStatus) -> None:
        try:
            work = begin()
            for row in range(work.n_rows):
                if not self._take(row, work):
                    break
        except Exception as error:  # the outermost frame of a thread: the plan gets it
            landed.set_exception(error)
        else:
            landed.set_finished()

    def _take(self, row: int, work: RowWork) -> bool:
        """Take a row until it succeeds undisturbed; False when the flight is over."""
        while self._gate.let_through():
            end = time.monotonic() + work.row_s
            reading = work.read(row, self._beam_fraction())
            if self._gate.sleep(end - time.monotonic()):
                for recorder in self._recorders:
                    recorder.record(reading)
                work.moved(row)
                return True
        return False
