"""One flight over a specimen: what the detectors count, row by row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.counting import sample_i0, sample_spectra
from models.physics.diffraction import FarField
from models.physics.fluorescence import SpectrumModel
from models.run_schema import FRAMES, I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA, X_UM, Y_UM, XrfDetector
from models.scan import FlyScan
from plans.devices.faults import Faults
from plans.devices.row_detector import RowReading

I0_FLICKER = 0.005
"""Relative, from point to point: what is left of a top-up ring's beam behind a position feedback."""

COUNTING_NOISE, STAGE_NOISE = 0, 1
"""Which of a flight's independent random streams, after its ``noise_key``."""


@dataclass(frozen=True)
class Exposure:
    """What a flight will meet, before any photon is counted.

    Attributes:
        scan: the raster.
        areal_density_ug_cm2: (element, row, point), blurred by probe and motion.
        stage_error_um: (y and x, row, point), where the stage really is, from where it should be.
        spectra: of one detector element.
        i0_nominal: mean monitor counts of a point in full beam.
        far_field: diffraction, where frames are taken.
        blind_pixels: (qy, qx), those of the camera that count nothing.
        noise_key: of this flight; a row's noise follows from it and the row's number.
    """

    scan: FlyScan
    areal_density_ug_cm2: NDArray[np.float32]
    stage_error_um: NDArray[np.float64]
    spectra: SpectrumModel
    detector: XrfDetector
    i0_nominal: float
    far_field: FarField | None
    blind_pixels: NDArray[np.bool_]
    faults: Faults
    noise_key: tuple[int, ...]

    def fly_row(self, row: int, beam_fraction: float = 1.0) -> RowReading:
        """Count one row; flown again, it gives the same.

        Args:
            row: its number.
            beam_fraction: of the full beam as the row starts.
        """
        rng = np.random.default_rng([*self.noise_key, COUNTING_NOISE, row])
        beam, i0 = self._monitor(0.0 if row in self.faults.dark_rows else beam_fraction, self._flown(row), rng)
        photons = beam * self.detector.photons_per_i0_count
        expected = self.spectra.expected_counts(self.areal_density_ug_cm2[:, row].T, photons)
        counts, live_s, real_s = sample_spectra(expected, self.scan.dwell_s, self.detector, rng)
        reading: dict[str, NDArray[Any]] = {SPECTRA: counts, LIVE_TIME_S: live_s, REAL_TIME_S: real_s, I0: i0}
        reading |= self._positions(row)
        if self.far_field is not None:
            expected_frames = self.far_field.row(row) * photons[:, None, None] * ~self.blind_pixels
            reading[FRAMES] = _counted(expected_frames, rng)
        self._lose_points(row, reading, rng)
        return reading

    def _flown(self, row: int) -> slice:
        """The points of a row in the order of time, which is the order of noise."""
        return slice(None, None, -1 if self.scan.is_reversed(row) else 1)

    def _monitor(
        self, beam_fraction: float, flown: slice, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected and counted monitor of each point."""
        points = self.scan.shape[1]
        if not beam_fraction > 0:
            return np.zeros(points), np.zeros(points)
        beam, i0 = sample_i0(self.i0_nominal * beam_fraction, (points,), I0_FLICKER, rng)
        return beam[flown], i0[flown]

    def _positions(self, row: int) -> dict[str, NDArray[np.float64]]:
        error_y_um, error_x_um = self.stage_error_um[:, row]
        return {X_UM: self.scan.row_x_um(row) + error_x_um, Y_UM: self.scan.y_um()[row] + error_y_um}

    def _lose_points(self, row: int, reading: dict[str, NDArray[Any]], rng: np.random.Generator) -> None:
        """Points that the detectors missed: no counts, NaN in times and monitor."""
        rows, points = self.scan.shape
        lost = rng.random(points) < self.faults.nan_fraction
        if row == rows - 1:
            lost[self._flown(row)][points - self.faults.missing_last_points :] = True
        for key, values in reading.items():
            if key not in (X_UM, Y_UM):
                values[lost] = np.nan if values.dtype.kind == "f" else 0


def _counted(expected: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Photons in a frame, up to what 16 bits hold: a brighter pixel is clipped there, silently as in a real camera."""
    return np.minimum(rng.poisson(expected), np.iinfo(np.uint16).max).astype(np.uint16)
