"""The controller of structured illumination: it moves the diffusers from pattern to pattern and has each recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Signal
from ophyd.status import DeviceStatus

from models.physics.structured_light import GRITS
from plans.devices.diffuser import DiffuserStage
from plans.devices.row_controller import RowController, RowWork
from plans.devices.row_detector import RowDetector
from plans.devices.structured_beam import BeamState, ExposureTimes, StructuredBeam
from plans.devices.timing import BeamlineTiming


@dataclass(frozen=True, eq=False)
class PatternFlight:
    """Frames, or frames and spectra, one after the other.

    Attributes:
        kind: what for; a stream's name.
        asked_um: (step, diffuser, y and x), where to move every diffuser before each step, in the order of `GRITS`.
        times: of each step.
        with_spectra: take spectra too.
    """

    kind: str
    asked_um: NDArray[np.float64]
    times: ExposureTimes
    with_spectra: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Steps, and points in each."""
        return len(self.asked_um), 1

    @property
    def way_um(self) -> float:
        """The longest way of a diffuser between two steps, on average."""
        if len(self.asked_um) < 2:
            return 0.0
        return float(np.abs(np.diff(self.asked_um, axis=0)).max(axis=(1, 2)).mean())


class PatternController(RowController):
    """Takes pattern after pattern in the beam as it stands; how it is used: see `RowController`."""

    def __init__(
        self,
        *,
        beam: StructuredBeam,
        diffusers: Mapping[str, DiffuserStage],
        shutter: Signal,
        specimen_in: Signal,
        every_flight: Sequence[RowDetector],
        with_spectra: Sequence[RowDetector],
        timing: BeamlineTiming,
        time_scale: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._beam = beam
        self._diffusers = diffusers
        self._shutter = shutter
        self._specimen_in = specimen_in
        self._every_flight = tuple(every_flight)
        self._with_spectra = tuple(with_spectra)
        self._timing = timing
        self._time_scale = time_scale

    def prepare(self, flight: PatternFlight) -> DeviceStatus:
        """Open a file in every recording device."""
        recorders = self._every_flight + (self._with_spectra if flight.with_spectra else ())
        return self.open_flight(recorders, flight, lambda: self._work(flight))

    def _work(self, flight: PatternFlight) -> RowWork:
        inserted = tuple(grit for grit, stage in self._diffusers.items() if stage.inserted.get())
        state = BeamState(bool(self._shutter.get()), bool(self._specimen_in.get()), inserted)
        exposure = self._beam.expose(flight.kind, state, flight.asked_um, flight.times)
        row_s = self._timing.pattern_s(flight.times.dwell_s, flight.way_um) * self._time_scale
        return RowWork(len(flight.asked_um), row_s, exposure.fly_row, lambda row: self._follow(flight.asked_um[row]))

    def _follow(self, asked_um: NDArray[np.float64]) -> None:
        for grit, (y_um, x_um) in zip(GRITS, asked_um.tolist(), strict=True):
            self._diffusers[grit].y.follow(y_um)
            self._diffusers[grit].x.follow(x_um)
