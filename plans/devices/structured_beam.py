"""A specimen in a wide, structured beam: what camera, spectrometer and monitor count of it, pattern by pattern."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.phantoms.specimens import Specimen
from models.physics.absorption import optical_depth
from models.physics.counting import sample_i0, sample_spectra
from models.physics.fluorescence import SpectrumModel, spectrum_model
from models.physics.structured_light import GRITS, StructuredLight, bucket_density, structured_light
from models.physics.txm import TxmCamera
from models.physics.xray import is_seen
from models.run_schema import I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA, XRF_STREAM, XrfDetector
from models.structured_schema import (
    DARK_STREAM,
    DIFFUSER_X_UM,
    DIFFUSER_Y_UM,
    FLAT_STREAM,
    IMAGE_STREAM,
    PATTERNS_STREAM,
    TXM_FRAMES,
)
from plans.devices.exposure import COUNTING_NOISE, I0_FLICKER, STAGE_NOISE
from plans.devices.row_detector import RowReading

FALLOFF = 0.15
"""Of the beam's logarithm towards the edges: a condenser lights the middle best."""
FINER = 2
"""Pixels of the twin along one of the camera: light and specimen vary within what a camera's pixel averages."""
_KINDS = (DARK_STREAM, FLAT_STREAM, IMAGE_STREAM, PATTERNS_STREAM, XRF_STREAM)


@dataclass(frozen=True)
class BeamState:
    """What stands in the beam.

    Attributes:
        shutter_open: whether there is light.
        specimen_in: whether there is a specimen.
        grits: of the diffusers in the beam.
    """

    shutter_open: bool
    specimen_in: bool
    grits: tuple[str, ...]


@dataclass(frozen=True)
class ExposureTimes:
    """Seconds in which a step counts spectrum and monitor, and in which the camera is exposed."""

    dwell_s: float
    camera_s: float


@dataclass(frozen=True, eq=False)
class PatternExposure:
    """A flight before any photon is counted.

    Attributes:
        beam: that it is taken in.
        state: of it.
        times: of each step.
        asked_um: (step, diffuser, y and x), all diffusers in the order of `GRITS`.
        really_um: where they went.
        noise_key: of this flight; a step's noise follows from it and the step's number.
    """

    beam: "StructuredBeam"
    state: BeamState
    times: ExposureTimes
    asked_um: NDArray[np.float64]
    really_um: NDArray[np.float64]
    noise_key: tuple[int, ...]

    def fly_row(self, row: int, beam_fraction: float = 1.0) -> RowReading:
        """Count one step; taken again, it gives the same.

        Args:
            row: its number.
            beam_fraction: of the full beam as the step starts.
        """
        rng = np.random.default_rng([*self.noise_key, COUNTING_NOISE, row])
        lit = beam_fraction > 0 and self.state.shutter_open
        expected, i0 = np.zeros(1), np.zeros(1)
        if lit:
            expected, i0 = sample_i0(self.beam.i0_nominal(self.times.dwell_s) * beam_fraction, (1,), I0_FLICKER, rng)
        photons = float(expected[0]) * self.beam.detector.photons_per_i0_count
        light = self._light(row)
        return {
            I0: i0,
            TXM_FRAMES: self.beam.frame(light, photons, self.state.specimen_in, self.times, rng),
            **self.beam.spectrum(light, photons, self.state.specimen_in, self.times.dwell_s, rng),
            **self._places(row),
        }

    def _light(self, row: int) -> NDArray[np.float32]:
        places_um = dict(zip(GRITS, self.really_um[row], strict=True))
        return self.beam.light.pattern({grit: places_um[grit] * 1e3 for grit in self.state.grits})

    def _places(self, row: int) -> dict[str, NDArray[Any]]:
        absent = [grit not in self.state.grits for grit in GRITS]
        y_um, x_um = np.where(absent, np.nan, self.asked_um[row].T)
        return {DIFFUSER_Y_UM: y_um, DIFFUSER_X_UM: x_um}


class StructuredBeam:
    """A specimen, a wide beam with diffusers before it, and detectors that look at them.

    Noise is drawn from (seed, kind of flight, flight, step), so it depends on no clock; a flight taken again gets new
    noise and its diffusers go elsewhere, while the same plans in a new process get the same bit for bit.
    """

    def __init__(
        self,
        specimen: Specimen,
        detector: XrfDetector,
        camera: TxmCamera,
        *,
        shape: tuple[int, int],
        pixel_size_nm: float,
        energy_kev: float,
        flux_hz: float,
        jitter_nm: float,
        seed: int,
    ) -> None:
        self.specimen = specimen
        self.detector = detector
        self.camera = camera
        self.shape = shape
        self.pixel_size_nm = pixel_size_nm
        self.energy_kev = energy_kev
        self.flux_hz = flux_hz
        self._jitter_um = jitter_nm * 1e-3
        self._seed = seed
        self._flights: Counter[str] = Counter()
        finer = (FINER * shape[0], FINER * shape[1])
        self.light: StructuredLight = structured_light(
            list(GRITS.values()), finer, pixel_size_nm / FINER, FALLOFF, np.random.default_rng([seed, 0x5A9D])
        )
        density = specimen.areal_density_ug_cm2(0.0, finer, pixel_size_nm / FINER)
        seen = [place for place, element in enumerate(specimen.elements) if is_seen(element, energy_kev)]
        self._density = density[seen]
        self._transmission = np.exp(-optical_depth(density, specimen.elements, energy_kev))
        self._spectra: SpectrumModel = spectrum_model(
            [specimen.elements[place] for place in seen], detector, energy_kev
        )

    def i0_nominal(self, dwell_s: float) -> float:
        """Mean monitor counts of a step in full beam."""
        return self.flux_hz * dwell_s / self.detector.photons_per_i0_count

    def true_patterns(self, really_um: NDArray[np.float64], grits: Sequence[str]) -> NDArray[np.float32]:
        """What the camera would see of patterns without noise, (pattern, y, x), mean light without diffusers 1.

        Args:
            really_um: (pattern, diffuser, y and x), all diffusers in the order of `GRITS`.
            grits: of those in the beam.
        """
        places = [dict(zip(GRITS, one * 1e3, strict=True)) for one in really_um]
        return np.stack([_binned(self.light.pattern({grit: one[grit] for grit in grits})) for one in places])

    def expose(
        self, kind: str, state: BeamState, asked_um: NDArray[np.float64], times: ExposureTimes
    ) -> PatternExposure:
        """Begin a flight, of a stream's name: every move of a diffuser ends somewhere about where it was asked to."""
        flight = self._flights[kind]
        self._flights[kind] += 1
        key = (self._seed, _KINDS.index(kind), flight)
        error_um = np.random.default_rng([*key, STAGE_NOISE]).normal(0.0, self._jitter_um, asked_um.shape)
        return PatternExposure(self, state, times, asked_um, asked_um + error_um, key)

    def frame(
        self,
        light: NDArray[np.float32],
        photons: float,
        specimen_in: bool,
        times: ExposureTimes,
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """A frame of the camera, (y, x); ``photons`` come to the field in the whole dwell."""
        through = light * self._transmission if specimen_in else light
        per_pixel = photons * times.camera_s / times.dwell_s / prod(self.shape)
        return self.camera.sample_frame(_binned(through) * per_pixel, times.camera_s, rng)

    def spectrum(
        self,
        light: NDArray[np.float32],
        photons: float,
        specimen_in: bool,
        dwell_s: float,
        rng: np.random.Generator,
    ) -> dict[str, NDArray[Any]]:
        """A spectrum of the whole field with its times, one point (1, detector, ...)."""
        mean_light = float(light.mean(dtype=np.float64))
        density = bucket_density(light, self._density) / mean_light * specimen_in
        expected = self._spectra.expected_counts(density[None], np.array([photons * mean_light]))
        counts, live_s, real_s = sample_spectra(expected, dwell_s, self.detector, rng)
        return {SPECTRA: counts, LIVE_TIME_S: live_s, REAL_TIME_S: real_s}


def _binned(fine: NDArray[np.floating]) -> NDArray[np.float32]:
    """Means over the twin's pixels within one of the camera."""
    rows, columns = (n // FINER for n in fine.shape)
    return np.asarray(fine.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3)), np.float32)
