"""One projection: a fly-scan at one angle, as one Bluesky run."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import uuid4

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from models.run_schema import (
    BASELINE_STREAM,
    DIFFRACTION_STREAM,
    PLAN_TYPE,
    PROJECTION_SPEC,
    XRF_STREAM,
    ProjectionStart,
)
from models.scan import Motion
from plans.arguments import flown_raster, mapped_elements, plain
from plans.devices.beamline import Beamline
from plans.devices.fly_controller import Flight
from plans.devices.row_detector import RowDetector
from plans.flight import FLUSH_PERIOD_S, Streams, fly


def flyscan_projection(
    beamline: Beamline,
    *,
    sample: str,
    fov_um: Sequence[float],
    step_nm: float,
    dwell_s: float = 0.03,
    theta_deg: float = 0.0,
    motion: Motion = "fly",
    snake: bool = True,
    centre_um: Sequence[float] = (0.0, 0.0),
    elements: Sequence[str] | None = None,
    probe: str | None = None,
    diffraction: bool = False,
    flush_period_s: float = FLUSH_PERIOD_S,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take one projection, a series of its own.

    For example ``RE(flyscan_projection(sample="ZnMn-32cyc", fov_um=[4.2, 4.2], step_nm=120))``.

    Args:
        beamline: the devices; bound already where this is called by name.
        sample: its name.
        fov_um: (height, width).
        step_nm: between points and between rows.
        dwell_s: per point.
        theta_deg: angle.
        motion: ``fly`` or ``step``.
        snake: fly every second row backwards.
        centre_um: (y, x) of the middle of the field of view.
        elements: to map; by default those of the specimen.
        probe: key of the probe in the catalogue; by default the newest that fits.
        diffraction: take a diffraction frame at every point too.
        flush_period_s: how often rows are announced while they are flown.
        md: further metadata.

    Returns:
        The run's uid.

    Raises:
        ValueError: an argument makes no sense, or the stage does not reach that far.
    """
    arguments = {name: plain(value) for name, value in locals().items() if name not in ("beamline", "md")}
    scan = flown_raster(beamline.stage, fov_um, step_nm, dwell_s, motion, snake, centre_um)
    start = ProjectionStart(
        series_uid=str(uuid4()),
        series_name=sample,
        sample_name=sample,
        angle_index=0,
        n_angles=1,
        theta_deg=float(theta_deg),
        purpose="coarse",
        energy_kev=beamline.energy_kev,
        elements=mapped_elements(beamline, elements),
        scan=scan,
        detector=beamline.detector,
        i0_nominal=beamline.specimen_in_beam.i0_nominal(scan.dwell_s),
        probe=probe,
        angles_deg=(float(theta_deg),),
        optics=beamline.optics,
    )
    described = {**(md or {}), "plan_name": flyscan_projection.__name__, "plan_args": arguments}
    return (yield from projection_run(beamline, start, diffraction, flush_period_s, described))


def projection_run(
    beamline: Beamline, start: ProjectionStart, diffraction: bool, flush_period_s: float, md: Mapping[str, Any]
) -> MsgGenerator[str]:
    """Fly one projection as one run; its start document is ``md`` and ``start``.

    Returns:
        The run's uid.
    """
    metadata = {**md, **start.to_metadata(), "tiled_specs": [PROJECTION_SPEC], "flux_hz": beamline.flux_hz}
    flight = Flight(start.scan, start.purpose, with_frames=diffraction)
    return (yield from flown_run(beamline, flight, start.theta_deg, flush_period_s, metadata))


def flown_run(
    beamline: Beamline, flight: Flight, theta_deg: float, flush_period_s: float, md: Mapping[str, Any]
) -> MsgGenerator[str]:
    """Move to where the raster begins and fly it as one run.

    Returns:
        The run's uid.
    """
    specimen = beamline.specimen_in_beam.targets[flight.target]
    metadata = {**md, "plan_type": PLAN_TYPE, "specimen": {"name": specimen.name, "seed": specimen.seed}}

    @bpp.stage_decorator([beamline.flyer])
    @bpp.run_decorator(md=metadata)
    def recorded() -> MsgGenerator[None]:
        yield from _record_baseline(beamline)
        yield from fly(beamline.flyer, flight, _streams(beamline, flight), flush_period_s)

    stage, scan = beamline.stage, flight.scan
    yield from bps.checkpoint()
    yield from bps.mv(stage.theta, theta_deg, stage.y, float(scan.y_um()[0]), stage.x, float(scan.row_x_um(0)[0]))
    return cast(str, (yield from recorded()))


def _record_baseline(beamline: Beamline) -> MsgGenerator[None]:
    """Where everything stands as the run begins."""
    yield from bps.create(BASELINE_STREAM)
    yield from bps.read(beamline.stage)
    yield from bps.read(beamline.ring_current)
    yield from bps.save()
    yield from bps.checkpoint()


def _streams(beamline: Beamline, flight: Flight) -> Streams:
    streams: dict[str, tuple[RowDetector, ...]] = {XRF_STREAM: (beamline.xrf, beamline.scaler, beamline.encoders)}
    if flight.with_frames:
        streams[DIFFRACTION_STREAM] = (beamline.camera,)
    return streams
