"""What a small full-field twin measures of a specimen, without a RunEngine: streams to be written, and the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.run_schema import I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA
from models.structured_schema import TXM_FRAMES, StructuredStart
from plans.devices.structured_beam import BeamState
from plans.devices.txm_beamline import make_txm_beamline
from plans.structured_flights import flights_of

Streams = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class MeasuredStructure:
    """A run before it is written.

    Attributes:
        start: of its document.
        streams: arrays by stream and data key, without the diffusers' encoders, which nobody reads.
        true_patterns: (pattern, y, x) while the spectra were counted, without noise.
        moved_px: (pattern, diffuser, y and x), from where each stood without the specimen.
        true_maps: (element, y, x) in ug/cm^2.
    """

    start: StructuredStart
    streams: Streams
    true_patterns: NDArray[np.float32]
    moved_px: NDArray[np.float64]
    true_maps: NDArray[np.float32]


def measured_structure(
    folder: Path,
    *,
    n_patterns: int = 60,
    shape: tuple[int, int] = (24, 24),
    pixel_size_nm: float = 100.0,
    jitter_nm: float = 20.0,
    specimen: str = "mixed-cathode",
    seed: int = 0,
    n_images: int = 16,
    phases: tuple[str, ...] = (),
) -> MeasuredStructure:
    """Expose a specimen to patterns of both grits."""
    beamline = make_txm_beamline(
        folder, specimen, seed, shape=shape, pixel_size_nm=pixel_size_nm, jitter_nm=jitter_nm, time_scale=0.0
    )
    beam, streams, exposures = beamline.beam, {}, {}
    for phase in flights_of(beamline, n_patterns, None, ("fine", "coarse"), 1.0, None, n_images, place_seed=seed):
        flight = phase.flight
        state = BeamState(phase.shutter_open, phase.specimen_in, phase.grits)
        exposure = exposures[flight.kind] = beam.expose(flight.kind, state, flight.asked_um, flight.times)
        rows = [exposure.fly_row(row) for row in range(len(flight.asked_um))]
        keys = (TXM_FRAMES, I0, *((SPECTRA, LIVE_TIME_S, REAL_TIME_S) if flight.with_spectra else ()))
        streams[flight.kind] = {key: np.stack([row[key] for row in rows]) for key in keys}
        streams[flight.kind][I0] = streams[flight.kind][I0][:, 0]
    start = StructuredStart(
        sample_name="mixed cathode",
        energy_kev=beam.energy_kev,
        elements=("Mn", "Co", "Ni"),
        shape=shape,
        pixel_size_nm=pixel_size_nm,
        n_patterns=n_patterns,
        dwell_s=1.0,
        camera_s=exposures["xrf"].times.camera_s,
        i0_nominal=beam.i0_nominal(1.0),
        photons_per_pattern=beam.flux_hz,
        detector=beam.detector,
        grits=("fine", "coarse"),
        phases=phases,
    )
    before_um, during_um = exposures["patterns"].really_um, exposures["xrf"].really_um
    return MeasuredStructure(
        start,
        streams,
        beam.true_patterns(during_um, start.grits),
        (during_um - before_um) * 1e3 / pixel_size_nm,
        beam.specimen.areal_density_ug_cm2(0.0, shape, pixel_size_nm)[:3],
    )
