"""Structured illumination: one spectrum under each of many patterns, and the frames that say what the patterns were."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from models.physics.structured_light import GRITS
from models.run_schema import BASELINE_STREAM, PLAN_TYPE
from models.structured_schema import STRUCTURED_SPEC, StructuredStart
from plans.arguments import mapped_elements, plain
from plans.devices.row_detector import RowDetector
from plans.devices.txm_beamline import TxmBeamline
from plans.flight import FLUSH_PERIOD_S, fly
from plans.structured_estimate import StructuredEstimate, estimate_flights
from plans.structured_flights import DWELL_S, N_IMAGES, Phase, flights_of


def structured_illumination_scan(
    beamline: TxmBeamline,
    *,
    sample: str,
    n_patterns: int | None = None,
    sampling_ratio: float | None = None,
    grits: Sequence[str] = tuple(GRITS),
    dwell_s: float = DWELL_S,
    camera_s: float | None = None,
    n_images: int = N_IMAGES,
    elements: Sequence[str] | None = None,
    phases: Sequence[str] = (),
    place_seed: int = 0,
    flush_period_s: float = FLUSH_PERIOD_S,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take element maps without a focus: a spectrum of the whole field under each of many patterns.

    For example ``RE(structured_illumination_scan(sample="mixed cathode", sampling_ratio=0.05))``. Dark frames, flat
    field and every pattern without the specimen come first, then, with it in the beam, its image and under every
    pattern again one spectrum and one frame. The diffusers do not come back to the pixel: registration of the frames
    tells by how much. One set of patterns of another grit is another run, with ``grits=["fine"]`` for example.

    Dose is by equal incident flux: each pattern gets the same photons before the diffusers, however much of them a
    pattern lets onto the specimen. The monitor tells what the beam did meanwhile.

    Args:
        beamline: the devices; bound already where this is called by name.
        sample: its name.
        n_patterns: how many patterns.
        sampling_ratio: instead, patterns per pixel; 0.05 where neither is given.
        grits: names of the diffusers to put into the beam.
        dwell_s: of a spectrum.
        camera_s: of a frame, no longer than dwell_s; by default 0.1, or what the camera holds of the brightest pixels.
        n_images: frames of each of dark, flat field and image.
        elements: to map; by default those of the specimen that the detector sees.
        phases: formulas of what the specimen is known to consist of, where that is known.
        place_seed: of where the diffusers go.
        flush_period_s: how often frames are announced while they are taken.
        md: further metadata.

    Returns:
        The run's uid.

    Raises:
        ValueError: an argument makes no sense; nothing has been measured then.
    """
    arguments = {name: plain(value) for name, value in locals().items() if name not in ("beamline", "md")}
    taken = flights_of(beamline, n_patterns, sampling_ratio, grits, dwell_s, camera_s, n_images, place_seed)
    spectra = taken[-1].flight
    start = StructuredStart(
        sample_name=sample,
        energy_kev=beamline.energy_kev,
        elements=mapped_elements(beamline, elements),
        shape=beamline.beam.shape,
        pixel_size_nm=beamline.beam.pixel_size_nm,
        n_patterns=len(spectra.asked_um),
        dwell_s=spectra.times.dwell_s,
        camera_s=spectra.times.camera_s,
        i0_nominal=beamline.beam.i0_nominal(spectra.times.dwell_s),
        photons_per_pattern=beamline.beam.flux_hz * spectra.times.dwell_s,
        detector=beamline.detector,
        grits=taken[-1].grits,
        phases=tuple(str(phase) for phase in phases),
    )
    estimate = _estimate(beamline, taken)
    metadata = {
        **(md or {}),
        **start.to_metadata(),
        "plan_name": structured_illumination_scan.__name__,
        "plan_args": arguments,
        "plan_type": PLAN_TYPE,
        "tiled_specs": [STRUCTURED_SPEC],
        "flux_hz": beamline.beam.flux_hz,
        "specimen": {"name": beamline.specimen.name, "seed": beamline.specimen.seed},
        "estimate": asdict(estimate) | {"text": str(estimate)},
    }
    return (yield from _run(beamline, taken, flush_period_s, metadata))


def estimate_structured(
    beamline: TxmBeamline,
    *,
    n_patterns: int | None = None,
    sampling_ratio: float | None = None,
    grits: Sequence[str] = tuple(GRITS),
    dwell_s: float = DWELL_S,
    camera_s: float | None = None,
    n_images: int = N_IMAGES,
) -> StructuredEstimate:
    """What `structured_illumination_scan` will cost; the arguments are the same.

    Raises:
        ValueError: an argument makes no sense.
    """
    taken = flights_of(beamline, n_patterns, sampling_ratio, grits, dwell_s, camera_s, n_images, place_seed=0)
    return _estimate(beamline, taken)


def _estimate(beamline: TxmBeamline, taken: Sequence[Phase]) -> StructuredEstimate:
    exposed = [phase.flight for phase in taken if phase.exposes_specimen]
    return estimate_flights(beamline, [phase.flight for phase in taken], exposed)


def _run(
    beamline: TxmBeamline, taken: Sequence[Phase], flush_period_s: float, metadata: Mapping[str, Any]
) -> MsgGenerator[str]:
    @bpp.run_decorator(md=metadata)
    def recorded() -> MsgGenerator[None]:
        yield from _record_baseline(beamline)
        for phase in taken:
            yield from _take(beamline, phase, flush_period_s)

    def left_safe() -> MsgGenerator[None]:
        yield from bps.mv(beamline.shutter, 0, beamline.specimen_in, 0)

    return cast(str, (yield from bpp.finalize_wrapper(recorded(), left_safe)))


def _record_baseline(beamline: TxmBeamline) -> MsgGenerator[None]:
    """How everything stands as the run begins."""
    yield from bps.create(BASELINE_STREAM)
    for device in (*beamline.diffusers.values(), beamline.ring_current):
        yield from bps.read(device)
    yield from bps.save()
    yield from bps.checkpoint()


def _take(beamline: TxmBeamline, phase: Phase, flush_period_s: float) -> MsgGenerator[None]:
    """Bring the beam into the state that a flight wants and take it.

    The checkpoint comes before the controller is left: what was recorded is never taken again, and from there on a
    pause repeats the moves to the next flight only.
    """
    moves: list[Any] = [beamline.shutter, int(phase.shutter_open), beamline.specimen_in, int(phase.specimen_in)]
    first_um = dict(zip(GRITS, phase.flight.asked_um[0].tolist(), strict=True))
    for grit, stage in beamline.diffusers.items():
        y_um, x_um = first_um[grit]
        moves += [stage.inserted, int(grit in phase.grits), stage.y, y_um, stage.x, x_um]
    yield from bps.mv(*moves)
    recorders: tuple[RowDetector, ...] = (beamline.camera, beamline.scaler, beamline.encoders)
    if phase.flight.with_spectra:
        recorders = (*recorders, beamline.xrf)

    def flown() -> MsgGenerator[None]:
        yield from fly(beamline.controller, phase.flight, {phase.flight.kind: recorders}, flush_period_s)
        yield from bps.checkpoint()

    yield from bpp.stage_wrapper(flown(), [beamline.controller])
