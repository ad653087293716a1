"""The main job from end to end on this machine, judged by the truth that only a simulation knows."""

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import HttpUrl
from rich.console import Console

from services.beamline.session import BeamlineSession, open_session
from services.catalog.client import Catalog
from services.catalog.probes import import_probe, list_probes
from services.catalog.products import find_series, read_sigma, read_stack
from services.catalog.records import MapSource, SeriesRecord
from services.catalog.volumes import read_volume
from services.errors import SubprobeError
from services.logs import configure_logging
from services.settings import Settings
from services.stack.address import with_stack_address
from services.stack.demo_picture import draw_story
from services.stack.demo_probe import compare_with_true_probe, draw_found_and_true
from services.stack.demo_progress import ScanProgress
from services.stack.embedded import EmbeddedStack, free_port
from services.stack.folder import StackFolder
from services.stack.jobs import follow_job, submit_job
from services.stack.scoring import Measured, Score, compare_with_truth, render_truth, score_table

FOV_UM = (4.2, 4.2)
STEP_NM = 90.0
DWELL_S = 0.03
# The service's default: of few angles FBP makes streaks, and drowns in them what enhancement gains.
ALGORITHM = "ospml_hybrid"
_THREADS = 2  # of the reconstruction: scan and worker are done by then
SOURCES: tuple[MapSource, ...] = ("fitted", "enhanced")
_MARKER = ".made-by-subprobe-demo"
_ENHANCE_TIMEOUT_S = 120.0


class DemoError(SubprobeError):
    """The demo could not do its job."""


def run_demo(settings: Settings, n_angles: int, keep: bool, console: Console, with_ptychography: bool = False) -> None:
    """Scan, enhance live, reconstruct over HTTP, compare with the truth, draw.

    Args:
        settings: of the user.
        n_angles: of the series.
        keep: everything running at the end.
        console: to tell.
        with_ptychography: nobody is told the probe; a ptychography scan makes it known.

    Raises:
        DemoError: the folder holds something else, or a part of the chain did not finish; the message says which.
    """
    started = time.monotonic()
    settings = _demo_settings(settings, _emptied_folder(settings.folder))
    configure_logging("INFO", StackFolder(settings.folder).logs / "demo.log")
    console.rule("[bold]subprobe demo")
    with ExitStack() as running:
        with console.status("starting Tiled, the worker and the reconstruction service"):
            stack = running.enter_context(EmbeddedStack(settings))
        settings = with_stack_address(settings)
        session = open_session(settings)
        series = _scan(session, n_angles, with_ptychography, console)
        if with_ptychography:
            _show_probe(session, series, settings.folder, console)
        jobs = {source: _reconstruct(settings, series, source, console) for source in SOURCES}
        _show_results(session, series, jobs, settings.folder, console)
        console.print(f"\nwhole demo: {time.monotonic() - started:.0f} s on this machine")
        _print_urls(stack, series, jobs["enhanced"]["id"], console)
        if keep:
            console.print("everything keeps running; Ctrl-C stops it")
            stack.watch()
    console.print(f"stopped; to look around: subprobe up --folder {settings.folder}", soft_wrap=True)


def _emptied_folder(folder: Path) -> Path:
    """The demo's folder, empty; only one that a demo made is ever emptied."""
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise DemoError(f"{folder} holds something that no demo made: pass another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    StackFolder(folder).prepare()
    return folder


def _demo_settings(settings: Settings, folder: Path) -> Settings:
    """The user's settings on free ports and on fast motors: hours of beamtime in minutes."""
    return settings.model_copy(
        update={
            "folder": folder,
            "tiled": settings.tiled.model_copy(update={"uri": HttpUrl(f"http://127.0.0.1:{free_port()}")}),
            "reconstruction": settings.reconstruction.model_copy(
                update={"host": "127.0.0.1", "port": free_port(), "threads": _THREADS}
            ),
            "beamline": settings.beamline.model_copy(update={"time_scale": 0.02}),
        }
    )


def _scan(session: BeamlineSession, n_angles: int, with_ptychography: bool, console: Console) -> SeriesRecord:
    """Take the series while the worker enhances it; returns when the last projection is enhanced."""
    beamline = session.beamline
    if not with_ptychography:
        import_probe(session.catalog, beamline.probe, "twin-zone-plate")
    angles_deg = [180.0 * index / n_angles for index in range(n_angles)]
    plan = session.plans["coarse_flyscan_tomo"](
        sample="ZnMn-cathode",
        angles_deg=angles_deg,
        fov_um=list(FOV_UM),
        step_nm=STEP_NM,
        dwell_s=DWELL_S,
        probe_scan=with_ptychography,
    )
    with ScanProgress(session.catalog, n_angles, console) as progress:
        session.RE(plan, progress)
        series_uid = progress.series_uid
        if not progress.wait_until_enhanced(_ENHANCE_TIMEOUT_S):
            raise DemoError("the worker did not enhance every projection: see logs/worker.log in the demo's folder")
    return find_series(session.catalog, series_uid)


def _show_probe(session: BeamlineSession, series: SeriesRecord, folder: Path, console: Console) -> None:
    key = series.metadata["probe"]["key"]
    record = next(probe for probe in list_probes(session.catalog) if probe.key == key)
    comparison = compare_with_true_probe(session.catalog, record, session.beamline.probe)
    height_nm, width_nm = record.metadata["fwhm_nm"]
    console.print(f"probe {key}: {height_nm:.1f} x {width_nm:.1f} nm FWHM; {comparison}", soft_wrap=True)
    picture = draw_found_and_true(comparison, folder / "demo-probe.png")
    console.print(f"picture of the probe: [bold]{picture}[/]", soft_wrap=True)


def _reconstruct(settings: Settings, series: SeriesRecord, source: MapSource, console: Console) -> dict[str, Any]:
    """Launch one reconstruction over HTTP and follow it; the ended job as the service describes it."""
    # The halves of fitted maps tell the resolution; those of enhanced maps would cost half a minute and tell none.
    wanted = {"series": series.key, "source": source, "algorithm": ALGORITHM, "fsc": source == "fitted"}
    job = submit_job(settings, wanted)
    job = follow_job(settings, job["id"], console)
    if job["state"] != "succeeded":
        raise DemoError(f"the reconstruction from {source} maps {job['state']}: {job['error']}")
    shape, voxel_nm = job["result"]["shape"], job["result"]["voxel_size_nm"]
    console.print(f"volume from {source} maps: {' x '.join(map(str, shape))} voxels of {voxel_nm:g} nm")
    return job


def _show_results(
    session: BeamlineSession,
    series: SeriesRecord,
    jobs: Mapping[MapSource, dict[str, Any]],
    folder: Path,
    console: Console,
) -> None:
    beamline = session.beamline
    centre_px = jobs["enhanced"]["result"]["centre_px"]
    scores: list[Score] = []
    with console.status("rendering the truth"):
        truth = render_truth(series, beamline.specimen)
    for element in series.elements:
        with console.status(f"comparing {element} with the truth"):
            measured = _measured(session.catalog, series, element, jobs)
            comparison = compare_with_truth(series, element, measured, truth, beamline.probe, ALGORITHM, centre_px)
        scores.extend(comparison.scores)
        picture = draw_story(comparison, folder / f"demo-{element}.png")
        console.print(f"picture of {element}: [bold]{picture}[/]", soft_wrap=True)
    console.print(score_table(tuple(scores)))


def _measured(
    catalog: Catalog, series: SeriesRecord, element: str, jobs: Mapping[MapSource, dict[str, Any]]
) -> Measured:
    return Measured(
        fitted=read_stack(catalog, series.key, "fitted", element),
        fitted_sigma=read_sigma(catalog, series.key, "fitted", element),
        enhanced=read_stack(catalog, series.key, "enhanced", element),
        volumes={source: read_volume(catalog, series.key, job["id"], element) for source, job in jobs.items()},
    )


def _print_urls(stack: EmbeddedStack, series: SeriesRecord, job_id: str, console: Console) -> None:
    node = f"processed/{series.key}"
    links = {
        "series in the Tiled web client": stack.browse(node),
        "volume in the Tiled web client": stack.browse(f"{node}/volumes/{job_id}"),
        "REST documentation": f"{stack.service_uri}/docs",
    }
    for label, url in links.items():
        console.print(f"{label:<32}{url}", soft_wrap=True, highlight=False)
