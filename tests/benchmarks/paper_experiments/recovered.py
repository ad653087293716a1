"""The probe as a beamline knows it: from simulated diffraction of the specimen itself, never the true one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.phantoms.specimens import Specimen
from models.physics.diffraction import FarField, transmission
from models.physics.flyscan import matched_kernel
from models.physics.probe import Probe
from models.ptychography.frames import Frames
from models.ptychography.recover import Recovery, RecoverySettings, recover

_FRAME_PX = 64


@dataclass(frozen=True)
class Diffraction:
    """How the scan for ptychography is made.

    Attributes:
        points: along a side of its square of points.
        photons: of a frame.
        epochs: of the fit.
        seed: of counting.
    """

    points: int
    photons: float
    epochs: int
    seed: int


@dataclass(frozen=True, eq=False)
class FoundProbe:
    """A recovered probe and how far from the truth its kernel is."""

    recovery: Recovery
    figures: dict[str, Any]

    @property
    def probe(self) -> Probe:
        """What enhancers are told."""
        return self.recovery.probe


def find_probe(specimen: Specimen, true: Probe, step_nm: float, scan: Diffraction) -> FoundProbe:
    """Fly over the middle of the specimen at 90 degrees, count the far field, and recover the probe."""
    frames = _frames(specimen, true, step_nm, scan)
    recovery = recover(frames, RecoverySettings(epochs=scan.epochs))
    kernels = [matched_kernel(probe, step_nm, 4, "fly").astype(np.float64) for probe in (recovery.probe, true)]
    side = min(map(len, kernels))
    found, known = (_middle(kernel, side) for kernel in kernels)
    figures = {
        "kernel_correlation": float(np.corrcoef(found.ravel(), known.ravel())[0, 1]),
        "kernel_relative_error": float(np.linalg.norm(found - known) / np.linalg.norm(known)),
        "fwhm_nm": recovery.probe.fwhm_nm(),
        "true_fwhm_nm": true.fwhm_nm(),
        "model": recovery.model,
        "deviance": recovery.deviance,
        "halves_difference": recovery.halves_difference,
        "structure_rad": recovery.structure_rad,
        "source_fwhm_nm": recovery.source_fwhm_nm,
        "warnings": list(recovery.warnings),
    }
    return FoundProbe(recovery, figures)


def _middle(kernel: Any, side: int) -> Any:
    margin = (len(kernel) - side) // 2
    return kernel[margin : margin + side, margin : margin + side]


def _frames(specimen: Specimen, probe: Probe, step_nm: float, scan: Diffraction) -> Frames:
    window, step_px = probe.modes.shape[-1], step_nm / probe.pixel_size_nm
    side = 2 * (int(scan.points * step_px / 2) + window // 2 + 8)
    density = specimen.areal_density_ug_cm2(90.0, (side, side), probe.pixel_size_nm)
    wave = transmission(density, specimen.elements, probe.energy_kev)
    along_px = (np.arange(scan.points) - (scan.points - 1) / 2) * step_px
    places_px = np.stack(np.meshgrid(along_px, along_px, indexing="ij")) + (side - 1) / 2
    far_field = FarField(probe, wave, places_px, step_px, (_FRAME_PX, _FRAME_PX))
    expected = np.concatenate([far_field.row(row) for row in range(scan.points)])
    counts = np.random.default_rng(scan.seed).poisson(expected * scan.photons).astype(np.float32)
    shrunk = window / _FRAME_PX  # a smaller part of the far field sees the object in larger pixels
    positions_px = places_px.reshape(2, -1).T / shrunk
    return Frames(counts, positions_px, (0.0, step_px / shrunk), probe.pixel_size_nm * shrunk, probe.energy_kev)
