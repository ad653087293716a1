"""Time, dose and bytes of structured illumination, before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from models.physics.diffraction import CM_PER_NM
from plans.devices.pattern_controller import PatternFlight
from plans.devices.txm_beamline import TxmBeamline
from plans.estimates import ABSORBER, fluence_dose_gy, readable_bytes, readable_duration

_FRAME_PIXEL_BYTES, _CHANNEL_BYTES, _TIME_BYTES, _MONITOR_AND_PLACE_BYTES = 2, 4, 4, 5 * 8


@dataclass(frozen=True)
class StructuredEstimate:
    """What a structured-illumination scan costs.

    Attributes:
        sampling_ratio: patterns per pixel.
        photons_per_pattern: on the field of view in a spectrum's dwell, were there no diffusers.
        duration_s: on this beamline's clock, moves of the diffusers included.
        dose_gy: absorbed by `plans.estimates.ABSORBER` while the specimen stands in the beam: image and spectra.
        n_bytes: on disk.
    """

    n_patterns: int
    sampling_ratio: float
    photons_per_pattern: float
    duration_s: float
    dose_gy: float
    n_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.n_patterns} patterns, sampling ratio {self.sampling_ratio:.3g}, {self.photons_per_pattern:.1e} "
            f"photons each: {readable_duration(self.duration_s)}, {readable_bytes(self.n_bytes)}, "
            f"{self.dose_gy:.1e} Gy in {ABSORBER}"
        )


def estimate_flights(
    beamline: TxmBeamline, flights: Sequence[PatternFlight], exposed: Sequence[PatternFlight]
) -> StructuredEstimate:
    """What it costs to take these flights.

    Args:
        beamline: with its speeds.
        flights: all of them; the last takes the spectra.
        exposed: those that the specimen stands in the beam for.
    """
    beam, spectra = beamline.beam, flights[-1]
    timing = beamline.timing
    steps_s = sum(len(one.asked_um) * timing.pattern_s(one.times.dwell_s, one.way_um) for one in flights)
    pixels = prod(beam.shape)
    area_cm2 = pixels * (beam.pixel_size_nm * CM_PER_NM) ** 2
    exposed_s = sum(len(flight.asked_um) * flight.times.dwell_s for flight in exposed)
    n_frames = sum(len(flight.asked_um) for flight in flights)
    detector = beamline.detector
    spectrum_bytes = detector.n_detectors * (detector.n_channels * _CHANNEL_BYTES + 2 * _TIME_BYTES)
    return StructuredEstimate(
        n_patterns=len(spectra.asked_um),
        sampling_ratio=len(spectra.asked_um) / pixels,
        photons_per_pattern=beam.flux_hz * spectra.times.dwell_s,
        duration_s=beamline.time_scale * steps_s + timing.run_overhead_s * len(flights),
        dose_gy=fluence_dose_gy(beam.flux_hz * exposed_s / area_cm2, beam.energy_kev),
        n_bytes=n_frames * (pixels * _FRAME_PIXEL_BYTES + _MONITOR_AND_PLACE_BYTES)
        + len(spectra.asked_um) * spectrum_bytes,
    )
