"""The specimen in the beam: what stands behind each point of a raster, at the stage's angle and place."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve

from models.phantoms.specimens import Specimen
from models.physics.diffraction import FarField, transmission
from models.physics.fluorescence import SpectrumModel, spectrum_model
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.physics.xray import is_seen
from models.run_schema import FlightPurpose, Target, XrfDetector
from models.scan import FlyScan, Motion
from plans.devices.exposure import STAGE_NOISE, Exposure
from plans.devices.faults import Faults

LARGEST_FRAME = 64
"""Pixels along a side: twice the numerical aperture of the default probe."""
_RENDERINGS_KEPT = 2  # a coarse scan and the fine one beside it
_PURPOSES: tuple[FlightPurpose, ...] = ("coarse", "fine", "probe")


@dataclass(frozen=True)
class _Raster:
    """All of a scan that the specimen's image depends on; the image extends ``beyond_steps`` on every side."""

    target: Target
    beyond_steps: int
    theta_deg: float
    shape: tuple[int, int]
    step_nm: float
    motion: Motion
    centre_um: tuple[float, float]


@dataclass(frozen=True)
class _Rendering:
    """The specimen on the probe's pixels, with the margin that the operator asks for: (element, fine_y, fine_x)."""

    operator: FlyScanOperator
    probe: Probe
    fine_ug_cm2: NDArray[np.float32]


class SpecimenInBeam:
    """A specimen, a probe, and detectors that look at them; flights expose it row by row.

    A calibration object is mounted beside the specimen; whichever of the two a flight targets stands in the beam, and
    places are told from its middle.

    Noise is drawn from (seed, angle, purpose, exposure, row), so it depends on neither the clock nor what was measured
    before. ``exposure`` counts how often this object has exposed that angle for that purpose: an angle taken again gets
    new noise, while the same plans in a new process get the same noise bit for bit.
    """

    def __init__(
        self,
        specimen: Specimen,
        probe: Probe,
        detector: XrfDetector,
        *,
        flux_hz: float,
        seed: int,
        faults: Faults,
        calibration: Specimen | None = None,
        blind_pixels: NDArray[np.bool_],
    ) -> None:
        self.probe = probe
        self.detector = detector
        self.flux_hz = flux_hz
        self.faults = faults
        self.targets: dict[Target, Specimen] = {"sample": specimen}
        if calibration is not None:
            self.targets["calibration"] = calibration
        self.blind_pixels = blind_pixels
        self._seed = seed
        self._spectra = {target: self._spectrum_model(specimen) for target, specimen in self.targets.items()}
        self._exposures: Counter[tuple[float, FlightPurpose]] = Counter()
        self._rendered = lru_cache(maxsize=_RENDERINGS_KEPT)(self._render)

    @property
    def specimen(self) -> Specimen:
        """What is to be measured."""
        return self.targets["sample"]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(qy, qx) of a diffraction frame: no more than the probe's window holds."""
        height, width = self.blind_pixels.shape
        return height, width

    def i0_nominal(self, dwell_s: float, filter_transmission: float = 1.0) -> float:
        """Mean monitor counts of a point behind filters of this transmission."""
        return self.flux_hz * filter_transmission * dwell_s / self.detector.photons_per_i0_count

    def expose(
        self,
        scan: FlyScan,
        theta_deg: float,
        purpose: FlightPurpose,
        with_frames: bool = False,
        target: Target = "sample",
        filter_transmission: float = 1.0,
    ) -> Exposure:
        """Begin a flight over the specimen; the first one at an angle renders it, which takes a second or so."""
        exposure = self._exposures[theta_deg, purpose]
        self._exposures[theta_deg, purpose] += 1
        key = (self._seed, round(theta_deg * 1e6) % 2**40, _PURPOSES.index(purpose), exposure)
        pixel_um = scan.step_nm / self._scale(scan.step_nm) * 1e-3
        error_px = self._stage_error_px(scan, pixel_um * 1e3, key)
        offset_px = error_px + _row_offsets_um(scan) / pixel_um
        beyond_steps = ceil(np.abs(offset_px).max() * pixel_um * 1e3 / scan.step_nm)
        raster = _Raster(target, beyond_steps, theta_deg, scan.shape, scan.step_nm, scan.motion, scan.centre_um)
        seen, error_um = _seen(self._rendered(raster), offset_px, beyond_steps), error_px * pixel_um
        return Exposure(
            scan=scan,
            areal_density_ug_cm2=seen[self._fluorescing(self.targets[target])],
            stage_error_um=error_um,
            spectra=self._spectra[target],
            detector=self.detector,
            i0_nominal=self.i0_nominal(scan.dwell_s, filter_transmission),
            far_field=self._far_field(scan, theta_deg, target, error_um) if with_frames else None,
            blind_pixels=self.blind_pixels,
            faults=self.faults,
            noise_key=key,
        )

    def _scale(self, step_nm: float) -> int:
        """Of the probe's pixels, or the next smaller ones of which a step holds a whole number."""
        return ceil(step_nm / self.probe.pixel_size_nm - 1e-6)

    def _render(self, raster: _Raster) -> _Rendering:
        scale = self._scale(raster.step_nm)
        probe = self.probe.resampled(raster.step_nm / scale)
        rows, points = (n + 2 * raster.beyond_steps for n in raster.shape)
        operator = FlyScanOperator(probe, (rows, points), scale, raster.motion)
        fine = self.targets[raster.target].areal_density_ug_cm2(
            raster.theta_deg, operator.fine_shape, probe.pixel_size_nm, raster.centre_um
        )
        return _Rendering(operator, probe, fine)

    def _stage_error_px(self, scan: FlyScan, pixel_size_nm: float, key: tuple[int, ...]) -> NDArray[np.float64]:
        """Where the stage really is, from where it should be: (y and x, row, point)."""
        rng = np.random.default_rng([*key, STAGE_NOISE])
        return rng.normal(0.0, self.faults.jitter_nm / pixel_size_nm, (2, *scan.shape))

    def _far_field(self, scan: FlyScan, theta_deg: float, target: Target, error_um: NDArray[np.float64]) -> FarField:
        """Diffraction on the probe's own pixels, whatever the step: a camera does not move with it."""
        pixel_um = self.probe.pixel_size_nm * 1e-3
        travel_px = scan.step_nm / self.probe.pixel_size_nm if scan.motion == "fly" else 0.0
        xs_um = np.array([scan.row_x_um(row) for row in range(scan.shape[0])])
        ys_um = np.broadcast_to(scan.y_um()[:, None], scan.shape)
        centre_um = np.reshape(scan.centre_um, (2, 1, 1))
        from_middle_px = (np.stack([ys_um, xs_um]) + error_um - centre_um) / pixel_um
        reach_px = np.abs(from_middle_px).max(axis=(1, 2)) + np.array([0.0, travel_px / 2])
        height, width = (self.probe.modes.shape[-1] + 2 * ceil(reach) + 2 for reach in reach_px)
        specimen = self.targets[target]
        density = specimen.areal_density_ug_cm2(theta_deg, (height, width), self.probe.pixel_size_nm, scan.centre_um)
        wave = transmission(density, specimen.elements, self.probe.energy_kev)
        middle_px = np.reshape([(height - 1) / 2, (width - 1) / 2], (2, 1, 1))
        return FarField(self.probe, wave, from_middle_px + middle_px, travel_px, self.frame_shape)

    def _spectrum_model(self, specimen: Specimen) -> SpectrumModel:
        elements = [specimen.elements[place] for place in self._fluorescing(specimen)]
        return spectrum_model(elements, self.detector, self.probe.energy_kev)

    def _fluorescing(self, specimen: Specimen) -> list[int]:
        """Which elements the detector sees in this beam, by their places; the others only scatter."""
        return [place for place, element in enumerate(specimen.elements) if is_seen(element, self.probe.energy_kev)]


def _row_offsets_um(scan: FlyScan) -> NDArray[np.float64]:
    """(y and x, row, 1)."""
    none = (0.0,) * scan.shape[0]
    return np.array([scan.row_offset_y_um or none, scan.row_offset_x_um or none])[:, :, None]


def _seen(rendering: _Rendering, offset_px: NDArray[np.float64], beyond_steps: int) -> NDArray[np.float32]:
    """Areal density blurred by probe and motion, at every point where the stage really was: (element, row, point).

    Args:
        rendering: of the raster and ``beyond_steps`` more on every side.
        offset_px: (y and x, row, point), from the regular raster.
        beyond_steps: none where there are no offsets.
    """
    operator = rendering.operator
    if not beyond_steps:
        return _without_negatives(operator.forward(torch.from_numpy(rendering.fine_ug_cm2)).numpy())
    everywhere = fftconvolve(rendering.fine_ug_cm2, operator.kernel[None, ::-1, ::-1], mode="valid", axes=(1, 2))
    places = (np.indices(offset_px.shape[1:]) + beyond_steps) * operator.scale + offset_px
    return _without_negatives(
        np.stack([map_coordinates(plane, places, order=3, mode="nearest") for plane in everywhere])
    )


def _without_negatives(areal_density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounding and interpolation go below zero where the specimen ends; photons cannot."""
    return np.maximum(areal_density, 0)
