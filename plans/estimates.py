"""Time, dose and bytes of a scan, before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xraylib

from models.physics.diffraction import CM_PER_NM
from models.physics.photon import J_PER_KEV
from models.scan import AngleOrder, FlyScan, Motion
from plans.arguments import (
    FRAME_DWELL_S,
    FRAME_PHOTONS,
    filter_transmission,
    flown_raster,
    measured_indices,
    overlapping_raster,
    series_angles,
)
from plans.devices.beamline import Beamline

ABSORBER = "MnO2"
"""What the dose is given for; it absorbs like the other oxides of a cathode."""
G_PER_KG = 1e3
_FRAME_PIXEL_BYTES, _SPECTRUM_CHANNEL_BYTES, _TIME_BYTES, _MONITOR_AND_POSITION_BYTES = 2, 4, 4, 3 * 8


@dataclass(frozen=True)
class Estimate:
    """What a scan costs.

    Attributes:
        n_angles: still to be measured.
        n_runs: one an angle, or two where a fine scan is taken beside each coarse one; one more for a probe scan.
        duration_s: on this beamline's clock, turns and turnarounds included.
        dose_gy: absorbed by ``ABSORBER`` wherever the raster goes, summed over all angles.
        n_bytes: on disk.
    """

    n_angles: int
    n_runs: int
    n_points: int
    duration_s: float
    dose_gy: float
    n_bytes: int

    def __str__(self) -> str:
        runs = f" in {self.n_runs} runs" if self.n_runs != self.n_angles else ""
        return (
            f"{self.n_angles} angles{runs}, {self.n_points} points: {readable_duration(self.duration_s)}, "
            f"{readable_bytes(self.n_bytes)}, {self.dose_gy:.1e} Gy"
        )


@dataclass(frozen=True)
class PtychographyEstimate:
    """What a ptychography scan costs, and what it gives.

    Attributes:
        step_share: of the lit extent (90 % of the photons); the rest of it is lit again by the next frame.
        photons_per_frame: on the specimen.
        duration_s: on this beamline's clock, turn and turnarounds included.
        dose_gy: absorbed by ``ABSORBER``, were it in the beam.
        n_bytes: on disk.
    """

    n_points: int
    step_share: float
    photons_per_frame: float
    duration_s: float
    dose_gy: float
    n_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.n_points} frames of {self.photons_per_frame:.1e} photons, {1 - self.step_share:.0%} overlap: "
            f"{readable_duration(self.duration_s)}, {readable_bytes(self.n_bytes)}, {self.dose_gy:.1e} Gy"
        )


def estimate_ptychography(
    beamline: Beamline,
    *,
    fov_um: Sequence[float] | None = None,
    step_nm: float | None = None,
    dwell_s: float = FRAME_DWELL_S,
    photons: float = FRAME_PHOTONS,
    theta_deg: float = 0.0,
    motion: Motion = "fly",
) -> PtychographyEstimate:
    """What `plans.ptychography.ptychography_scan` will cost; the arguments are the same.

    Raises:
        ValueError: an argument makes no sense.
    """
    scan = overlapping_raster(beamline, fov_um, step_nm, dwell_s, motion)
    return estimate_frames(beamline, scan, theta_deg, filter_transmission(beamline, dwell_s, photons))


def estimate_frames(beamline: Beamline, scan: FlyScan, theta_deg: float, transmission: float) -> PtychographyEstimate:
    """What it costs to fly this raster for frames, behind filters of this transmission."""
    flown = estimate_scans(beamline, [scan], [theta_deg], diffraction=True)
    flux_hz = beamline.flux_hz * transmission
    return PtychographyEstimate(
        n_points=scan.n_points,
        step_share=scan.step_nm / beamline.probe.extent_nm(),
        photons_per_frame=flux_hz * scan.dwell_s,
        duration_s=flown.duration_s,
        dose_gy=dose_gy(flux_hz, beamline.energy_kev, scan),
        n_bytes=flown.n_bytes,
    )


def estimate_tomo(
    beamline: Beamline,
    *,
    angles_deg: Sequence[float],
    fov_um: Sequence[float],
    step_nm: float,
    dwell_s: float = 0.03,
    motion: Motion = "fly",
    order: AngleOrder = "monotonic",
    angle_indices: Sequence[int] | None = None,
    fine_step_nm: float | None = None,
    diffraction: bool = False,
    probe_scan: bool = False,
) -> Estimate:
    """What `plans.tomography.coarse_flyscan_tomo` will cost; the arguments are the same.

    A probe scan counts in everything but the dose, which the calibration object takes.

    Raises:
        ValueError: an argument makes no sense.
    """
    angles = series_angles(angles_deg)
    indices = measured_indices(len(angles), order, angle_indices)
    steps_nm = [step_nm] if fine_step_nm is None else [step_nm, fine_step_nm]
    scans = [flown_raster(beamline.stage, fov_um, step, dwell_s, motion) for step in steps_nm]
    thetas_deg = [angles[index] for index in indices]
    if not probe_scan:
        return estimate_scans(beamline, scans, thetas_deg, diffraction)
    probe = estimate_ptychography(beamline)
    series = estimate_scans(beamline, scans, thetas_deg, diffraction, from_deg=0.0)
    return replace(
        series,
        n_runs=series.n_runs + 1,
        n_points=series.n_points + probe.n_points,
        duration_s=series.duration_s + probe.duration_s,
        n_bytes=series.n_bytes + probe.n_bytes,
    )


def estimate_scans(
    beamline: Beamline,
    scans: Sequence[FlyScan],
    thetas_deg: Sequence[float],
    diffraction: bool,
    from_deg: float | None = None,
) -> Estimate:
    """What it costs to fly every one of these rasters at every one of these angles, in this order.

    Args:
        beamline: with its speeds and its stage.
        scans: at each angle.
        thetas_deg: the angles.
        diffraction: with frames.
        from_deg: where the stage will stand before; by default where it stands now.
    """
    n_angles, timing = len(thetas_deg), beamline.timing
    before_deg = float(beamline.stage.theta.position) if from_deg is None else from_deg
    turns_deg = np.diff([before_deg, *thetas_deg])
    n_points = n_angles * sum(scan.n_points for scan in scans)
    beamtime_s = sum(timing.rotation_s(turn) for turn in turns_deg.tolist())
    beamtime_s += n_angles * sum(scan.shape[0] * timing.row_s(scan) for scan in scans)
    return Estimate(
        n_angles=n_angles,
        n_runs=n_angles * len(scans),
        n_points=n_points,
        duration_s=beamline.time_scale * beamtime_s + n_angles * len(scans) * timing.run_overhead_s,
        dose_gy=n_angles * sum(dose_gy(beamline.flux_hz, beamline.energy_kev, scan) for scan in scans),
        n_bytes=n_points * _bytes_per_point(beamline, diffraction),
    )


def dose_gy(flux_hz: float, energy_kev: float, scan: FlyScan) -> float:
    """Dose of one raster, absorbed energy per mass, averaged over its area.

    Fluence (photons per area: flux times dwell over step squared) times photon energy times the mass energy-absorption
    coefficient.

    Source: Howells et al., J. Electron Spectrosc. Relat. Phenom. 170 (2009) 4, eq. 2; coefficient from xraylib.
    """
    return fluence_dose_gy(flux_hz * scan.dwell_s / (scan.step_nm * CM_PER_NM) ** 2, energy_kev)


def fluence_dose_gy(photons_per_cm2: float, energy_kev: float) -> float:
    """Energy per mass that ``ABSORBER`` takes from photons that pass through it; see `dose_gy`."""
    absorption_cm2_g = float(xraylib.CS_Energy_CP(ABSORBER, energy_kev))
    return photons_per_cm2 * energy_kev * J_PER_KEV * absorption_cm2_g * G_PER_KG


def _bytes_per_point(beamline: Beamline, diffraction: bool) -> int:
    detector, (frame_height, frame_width) = beamline.detector, beamline.specimen_in_beam.frame_shape
    spectra = detector.n_detectors * (detector.n_channels * _SPECTRUM_CHANNEL_BYTES + 2 * _TIME_BYTES)
    frame = frame_height * frame_width * _FRAME_PIXEL_BYTES if diffraction else 0
    return spectra + _MONITOR_AND_POSITION_BYTES + frame


def readable_duration(seconds: float) -> str:
    """In the two largest units that say something."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def readable_bytes(n_bytes: int) -> str:
    """In megabytes or gigabytes."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
