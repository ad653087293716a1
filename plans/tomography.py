"""A projection at every angle: the series that everything after it works on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from inspect import signature
from typing import Any
from uuid import uuid4

from bluesky.utils import MsgGenerator

from models.run_schema import ProjectionStart
from models.scan import AngleOrder, FlyScan, Motion
from plans.arguments import flown_raster, mapped_elements, measured_indices, plain, series_angles
from plans.devices.beamline import Beamline
from plans.estimates import estimate_scans
from plans.flight import FLUSH_PERIOD_S
from plans.flyscan import projection_run
from plans.ptychography import ptychography_scan


@dataclass(frozen=True)
class SeriesResult:
    """What a series put into the catalogue.

    Attributes:
        run_uids: in the order of measurement; with fine scans, coarse and fine in turn.
        probe_run_uid: of the ptychography scan before them, where one was asked for.
    """

    series_uid: str
    run_uids: tuple[str, ...]
    probe_run_uid: str | None = None


def coarse_flyscan_tomo(
    beamline: Beamline,
    *,
    sample: str,
    angles_deg: Sequence[float],
    fov_um: Sequence[float],
    step_nm: float,
    dwell_s: float = 0.03,
    motion: Motion = "fly",
    snake: bool = True,
    order: AngleOrder = "monotonic",
    centre_um: Sequence[float] = (0.0, 0.0),
    elements: Sequence[str] | None = None,
    fine_step_nm: float | None = None,
    diffraction: bool = False,
    probe_scan: bool = False,
    probe: str | None = None,
    series_uid: str | None = None,
    series_name: str | None = None,
    angle_indices: Sequence[int] | None = None,
    flush_period_s: float = FLUSH_PERIOD_S,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[SeriesResult]:
    """Take a coarse fly-scan at every angle, one run each, all linked by ``series_uid``.

    For example::

        RE(coarse_flyscan_tomo(sample="ZnMn-32cyc", angles_deg=[0, 7.5, 15], fov_um=[4.2, 4.2], step_nm=120))

    An angle that is aborted or goes wrong is marked so and does no harm. To go on, give the same arguments with the
    ``series_uid`` and the indices of the angles that remain::

        RE(coarse_flyscan_tomo(..., series_uid="5e71e5aa-...", angle_indices=[41, 42, 43]))

    Args:
        beamline: the devices; bound already where this is called by name.
        sample: its name.
        angles_deg: every angle of the series, also when going on with one.
        fov_um: (height, width).
        step_nm: between points and between rows.
        dwell_s: per point.
        motion: ``fly`` or ``step``.
        snake: fly every second row backwards.
        order: in which angles are measured: ``monotonic``, ``interleaved`` or ``golden``.
        centre_um: (y, x) of the middle of the field of view.
        elements: to map; by default those of the specimen.
        fine_step_nm: take a fine scan of this step beside each coarse one; the pair is linked by ``paired_run_uid``.
        diffraction: take a diffraction frame at every point too.
        probe_scan: first take a `plans.ptychography.ptychography_scan` of the calibration object, as a run of its own
            that names the series.
        probe: key of the probe in the catalogue; by default the newest that fits.
        series_uid: of the series to go on with; by default a new one.
        series_name: for people; by default the sample's name.
        angle_indices: the angles to measure, by their place in ``angles_deg``; by default all.
        flush_period_s: how often rows are announced while they are flown.
        md: further metadata of every run.

    Returns:
        The series' and the runs' uids.

    Raises:
        ValueError: an argument makes no sense; nothing has been measured then.
    """
    arguments = {name: plain(value) for name, value in locals().items() if name not in ("beamline", "md")}
    angles = series_angles(angles_deg)
    indices = measured_indices(len(angles), order, angle_indices)
    steps_nm = [step_nm] if fine_step_nm is None else [step_nm, fine_step_nm]
    scans = [flown_raster(beamline.stage, fov_um, step, dwell_s, motion, snake, centre_um) for step in steps_nm]
    start = ProjectionStart(
        series_uid=series_uid or str(uuid4()),
        series_name=series_name or sample,
        sample_name=sample,
        angle_index=indices[0],
        n_angles=len(angles),
        theta_deg=angles[indices[0]],
        purpose="coarse",
        energy_kev=beamline.energy_kev,
        elements=mapped_elements(beamline, elements),
        scan=scans[0],
        detector=beamline.detector,
        i0_nominal=beamline.specimen_in_beam.i0_nominal(scans[0].dwell_s),
        probe=probe,
        angles_deg=angles,
        optics=beamline.optics,
    )
    probe_run_uid = None
    if probe_scan:
        probe_run_uid = yield from ptychography_scan(
            beamline, sample=sample, series_uid=start.series_uid, flush_period_s=flush_period_s, md=md
        )
    described = {**(md or {}), "plan_name": coarse_flyscan_tomo.__name__, "plan_args": arguments}
    series = yield from _series(beamline, start, indices, scans[1:], diffraction, flush_period_s, described)
    return replace(series, probe_run_uid=probe_run_uid)


def bind(plan: Callable[..., MsgGenerator[Any]], beamline: object) -> Callable[..., MsgGenerator[Any]]:
    """The plan with its beamline in it, under its own name: for a shell's or a queue server's namespace."""

    @wraps(plan)
    def bound(*args: Any, **kwargs: Any) -> MsgGenerator[Any]:
        return (yield from plan(beamline, *args, **kwargs))

    whole = signature(plan)
    first, *others = whole.parameters.values()
    bound.__signature__ = whole.replace(parameters=others)  # type: ignore[attr-defined]
    bound.__annotations__ = {name: kind for name, kind in plan.__annotations__.items() if name != first.name}
    return bound


def _series(
    beamline: Beamline,
    first: ProjectionStart,
    indices: Sequence[int],
    fine_scans: Sequence[FlyScan],
    diffraction: bool,
    flush_period_s: float,
    md: Mapping[str, Any],
) -> MsgGenerator[SeriesResult]:
    """Measure angle after angle, at each of them the coarse scan first."""
    thetas_deg = [first.angles_deg[index] for index in indices]
    estimate = estimate_scans(beamline, [first.scan, *fine_scans], thetas_deg, diffraction)
    described = {**md, "estimate": asdict(estimate) | {"text": str(estimate)}}
    run_uids: list[str] = []

    def run(start: ProjectionStart, angles_done: int, ends_angle: bool) -> MsgGenerator[str]:
        progress = {"angles_done": angles_done, "angles": len(indices), "ends_angle": ends_angle}
        run_uids.append(
            (
                yield from projection_run(
                    beamline, start, diffraction, flush_period_s, {**described, "progress": progress}
                )
            )
        )
        return run_uids[-1]

    for done, (index, theta_deg) in enumerate(zip(indices, thetas_deg, strict=True)):
        coarse = replace(first, angle_index=index, theta_deg=theta_deg)
        coarse_uid = yield from run(coarse, done, ends_angle=not fine_scans)
        for scan in fine_scans:
            fine = replace(coarse, purpose="fine", scan=scan, paired_run_uid=coarse_uid)
            yield from run(fine, done, ends_angle=scan is fine_scans[-1])
    return SeriesResult(first.series_uid, tuple(run_uids))
