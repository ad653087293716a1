"""The probe by ptychography: a fine, overlapping fly-scan with diffraction frames at one angle, as one Bluesky run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bluesky.utils import MsgGenerator

from models.run_schema import PROBE_PURPOSE, PTYCHOGRAPHY_SPEC, PtychographyStart, Target
from models.scan import Motion
from plans.arguments import FRAME_DWELL_S, FRAME_PHOTONS, filter_transmission, overlapping_raster, plain
from plans.devices.beamline import CAMERA_PIXEL_UM, Beamline
from plans.devices.fly_controller import Flight
from plans.estimates import estimate_frames
from plans.flight import FLUSH_PERIOD_S
from plans.flyscan import flown_run


def ptychography_scan(
    beamline: Beamline,
    *,
    sample: str,
    fov_um: Sequence[float] | None = None,
    step_nm: float | None = None,
    dwell_s: float = FRAME_DWELL_S,
    photons: float = FRAME_PHOTONS,
    theta_deg: float = 0.0,
    target: Target = "calibration",
    motion: Motion = "fly",
    centre_um: Sequence[float] = (0.0, 0.0),
    line_seed: int = 0,
    series_uid: str | None = None,
    flush_period_s: float = FLUSH_PERIOD_S,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take the frames from which the probe is recovered.

    For example ``RE(ptychography_scan(sample="ZnMn-32cyc"))``. Lines have unequal pitch and unequal starts, so that the
    raster leaves no periodic artefacts; the start document has their places, the encoders the truth. The step is at
    most half of the extent that the probe lights (90 % of its photons).

    Args:
        beamline: the devices; bound already where this is called by name.
        sample: name of the sample that the probe is wanted for.
        fov_um: (height, width); by default 20 x 20 points.
        step_nm: between points, and between rows on average; by default 0.22 of the lit extent, 30 nm with the probe
            of 40 nm.
        dwell_s: per point.
        photons: on the specimen in each frame; filters take the rest of the beam.
        theta_deg: angle; at 0 the calibration object stands across the beam.
        target: ``calibration``, or ``sample``: only where that is strong and sharp, for from a weak object no model
            can tell the probe.
        motion: ``fly`` or ``step``.
        centre_um: (y, x) of the middle of the field of view, from the middle of the target.
        line_seed: of the lines' places.
        series_uid: of the series that it is taken for.
        flush_period_s: how often rows are announced while they are flown.
        md: further metadata.

    Returns:
        The run's uid.

    Raises:
        ValueError: an argument makes no sense, or the stage does not reach that far.
    """
    arguments = {name: plain(value) for name, value in locals().items() if name not in ("beamline", "md")}
    if target not in beamline.specimen_in_beam.targets:
        raise ValueError(f"target is {target!r}: this beamline has {', '.join(beamline.specimen_in_beam.targets)}")
    scan = overlapping_raster(beamline, fov_um, step_nm, dwell_s, motion, centre_um, line_seed)
    transmission = filter_transmission(beamline, scan.dwell_s, float(photons))
    start = PtychographyStart(
        sample_name=sample,
        theta_deg=float(theta_deg),
        energy_kev=beamline.energy_kev,
        optics=beamline.optics,
        scan=scan,
        frame_shape=beamline.specimen_in_beam.frame_shape,
        detector_distance_m=beamline.camera_distance_m,
        detector_pixel_um=CAMERA_PIXEL_UM,
        flux_hz=beamline.flux_hz * transmission,
        target=target,
        series_uid=series_uid,
    )
    estimate = estimate_frames(beamline, scan, start.theta_deg, transmission)
    metadata = {
        **(md or {}),
        **start.to_metadata(),
        "plan_name": ptychography_scan.__name__,
        "plan_args": arguments,
        "tiled_specs": [PTYCHOGRAPHY_SPEC],
        "estimate": asdict(estimate) | {"text": str(estimate)},
    }
    flight = Flight(scan, PROBE_PURPOSE, with_frames=True, target=target, filter_transmission=transmission)
    return (yield from flown_run(beamline, flight, start.theta_deg, flush_period_s, metadata))
