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
from models.physics.fluorescence import spectrum_model
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.run_schema import Purpose, XrfDetector
from models.scan import FlyScan, Motion
from plans.devices.exposure import STAGE_NOISE, Exposure
from plans.devices.faults import Faults

LARGEST_FRAME = 64
"""Pixels along a side: twice the numerical aperture of the default probe."""
_RENDERINGS_KEPT = 2  # a coarse scan and the fine one beside it
_PURPOSES: tuple[Purpose, ...] = ("coarse", "fine")


@dataclass(frozen=True)
class _Raster:
    """All of a scan that the specimen's image depends on."""

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
    """A specimen, a probe, and a detector that looks at them; flights expose it row by row.

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
    ) -> None:
        self.specimen = specimen
        self.probe = probe
        self.detector = detector
        self.flux_hz = flux_hz
        self.faults = faults
        self._seed = seed
        self._spectra = spectrum_model(specimen.elements, detector, probe.energy_kev)
        self._exposures: Counter[tuple[float, Purpose]] = Counter()
        self._rendered = lru_cache(maxsize=_RENDERINGS_KEPT)(self._render)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(qy, qx) of a diffraction frame: no more than the probe's window holds."""
        side = min(LARGEST_FRAME, self.probe.modes.shape[-1])
        return side, side

    def i0_nominal(self, dwell_s: float) -> float:
        """Mean monitor counts of a point."""
        return self.flux_hz * dwell_s / self.detector.photons_per_i0_count

    def expose(self, scan: FlyScan, theta_deg: float, purpose: Purpose, with_frames: bool = False) -> Exposure:
        """Begin a flight over the specimen; the first one at an angle renders it, which takes a second or so."""
        exposure = self._exposures[theta_deg, purpose]
        self._exposures[theta_deg, purpose] += 1
        key = (self._seed, round(theta_deg * 1e6) % 2**40, _PURPOSES.index(purpose), exposure)
        rendering = self._rendered(_Raster(theta_deg, scan.shape, scan.step_nm, scan.motion, scan.centre_um))
        error_px = self._stage_error_px(scan, rendering.probe.pixel_size_nm, key)
        return Exposure(
            scan=scan,
            areal_density_ug_cm2=_seen(rendering, error_px),
            stage_error_um=error_px * rendering.probe.pixel_size_nm * 1e-3,
            spectra=self._spectra,
            detector=self.detector,
            i0_nominal=self.i0_nominal(scan.dwell_s),
            far_field=self._far_field(rendering, scan) if with_frames else None,
            faults=self.faults,
            noise_key=key,
        )

    def _render(self, raster: _Raster) -> _Rendering:
        """Render at the probe's pixels, or at the next smaller ones of which a step holds a whole number."""
        scale = ceil(raster.step_nm / self.probe.pixel_size_nm - 1e-6)
        probe = self.probe.resampled(raster.step_nm / scale)
        operator = FlyScanOperator(probe, raster.shape, scale, raster.motion)
        fine = self.specimen.areal_density_ug_cm2(
            raster.theta_deg, operator.fine_shape, probe.pixel_size_nm, raster.centre_um
        )
        return _Rendering(operator, probe, fine)

    def _stage_error_px(self, scan: FlyScan, pixel_size_nm: float, key: tuple[int, ...]) -> NDArray[np.float64]:
        """Where the stage really is, from where it should be: (y and x, row, point)."""
        rng = np.random.default_rng([*key, STAGE_NOISE])
        return rng.normal(0.0, self.faults.jitter_nm / pixel_size_nm, (2, *scan.shape))

    def _far_field(self, rendering: _Rendering, scan: FlyScan) -> FarField:
        wave = transmission(rendering.fine_ug_cm2, self.specimen.elements, rendering.probe.energy_kev)
        return FarField(rendering.probe, wave, rendering.operator.scale, scan.motion, self.frame_shape)


def _seen(rendering: _Rendering, error_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Areal density blurred by probe and motion, at every point where the stage really was: (element, row, point)."""
    operator = rendering.operator
    if not error_px.any():
        return _without_negatives(operator.forward(torch.from_numpy(rendering.fine_ug_cm2)).numpy())
    everywhere = fftconvolve(rendering.fine_ug_cm2, operator.kernel[None, ::-1, ::-1], mode="valid", axes=(1, 2))
    places = np.indices(operator.shape) * operator.scale + error_px
    return _without_negatives(
        np.stack([map_coordinates(plane, places, order=3, mode="nearest") for plane in everywhere])
    )


def _without_negatives(areal_density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounding and interpolation go below zero where the specimen ends; photons cannot."""
    return np.maximum(areal_density, 0)
