"""What runs, what waits, and what went wrong last: for a person at 3 am, on a laptop's stack or a deployment."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from services.catalog.backlog import Backlog
from services.catalog.client import Catalog, connect
from services.catalog.parking import parked_runs
from services.catalog.products import list_series
from services.catalog.records import CatalogError
from services.catalog.single_pixel import list_single_pixel
from services.catalog.workers import PublishedWorker, published_workers
from services.settings import Settings
from services.stack.embedded import read_stack_file, running_processes
from services.stack.folder import StackFolder
from services.stack.job_table import NoJobTableError, view_jobs
from services.stack.workers import ago, view_workers

_SHOWN_SERIES = 10


@dataclass(frozen=True)
class Waiting:
    """Finished projections that no worker has processed."""

    count: int
    oldest_s: float


def print_status(settings: Settings, console: Console) -> bool:
    """Print how everything is; whether all that should run runs."""
    folder = StackFolder(settings.folder.resolve())
    down = _print_processes(folder, console)
    try:
        catalog = connect(str(settings.tiled.uri), settings.tiled.key)
    except CatalogError as error:
        console.print(f"[red]Tiled does not answer:[/] {escape(str(error))}", soft_wrap=True)
        down.append("Tiled")
        down += _print_workers(folder.status, (), settings.worker.silence_s, console)
        down += _print_jobs(settings, folder, console)
    else:
        with catalog:
            down += _print_workers(folder.status, published_workers(catalog), settings.worker.silence_s, console)
            down += _print_jobs(settings, folder, console)
            _print_waiting(waiting_projections(catalog), console)
            _print_unmapped(catalog, console)
            _print_series(catalog, console)
            _print_single_pixel(catalog, console)
            _print_parked(catalog, console)
    if down:
        console.print(f"[bold red]not well:[/] {', '.join(dict.fromkeys(down))}", soft_wrap=True)
    return not down


def waiting_projections(catalog: Catalog) -> Waiting:
    """Count what waits; the age is that of the run that ended first."""
    stop_times = [run.stop_time for run in Backlog(catalog).waiting()]
    return Waiting(len(stop_times), time.time() - min(stop_times) if stop_times else 0.0)


def _print_processes(folder: StackFolder, console: Console) -> list[str]:
    record = read_stack_file(folder)
    if record is None:
        return []
    processes = record["processes"]
    assert isinstance(processes, dict)
    running = running_processes(folder)
    for name, pid in processes.items():
        state = "[green]runs[/]" if name in running else "[red]is down[/]"
        console.print(f"{name:<16} {state}, pid {pid}, log {folder.logs / name}.log", soft_wrap=True)
    return [name for name in processes if name not in running]


def _print_workers(folder: Path, published: Sequence[PublishedWorker], silence_s: float, console: Console) -> list[str]:
    workers = view_workers(folder, published, silence_s)
    for worker in workers:
        colour = "green" if worker.is_up else "red" if worker.is_down else "yellow"
        where = f", pid {worker.status.pid} on {worker.status.host}" if worker.status.host else ""
        console.print(f"{escape(worker.status.name):<16} [{colour}]{escape(worker.words)}[/]{where}", soft_wrap=True)
        if worker.status.state == "stopped":
            continue
        for label, text in (
            ("doing", worker.status.doing),
            ("waiting for", worker.status.waiting_for),
            ("last error", worker.status.last_error),
        ):
            if text:
                console.print(f"{'':<16} {label}: {text}", soft_wrap=True, markup=False)
    if any(worker.is_up for worker in workers):
        return [worker.status.name for worker in workers if worker.is_down]
    console.print("[red]no worker runs[/]: start one with `subprobe worker`")
    return ["no worker runs"]


def _print_jobs(settings: Settings, folder: StackFolder, console: Console) -> list[str]:
    try:
        jobs = view_jobs(settings, folder)
    except NoJobTableError as error:
        console.print(f"[yellow]jobs unknown:[/] {error}", soft_wrap=True)
        return []
    counts = ", ".join(f"{count} {state}" for state, count in jobs.census.states.items() if count)
    oldest = f", the oldest waits {ago(jobs.census.queue_age_s)}" if jobs.census.queue_age_s else ""
    console.print(f"jobs: {counts or 'none yet'}{oldest}")
    for job in jobs.running:
        console.print(
            f"{'':<16} {job.id} of {job.series_key}: {job.progress:.0%}, {job.message}", soft_wrap=True, markup=False
        )
    for job in jobs.failed:
        console.print(f"{'':<16} failed {job.id} of {job.series_key}: {job.error}", soft_wrap=True, markup=False)
    if not jobs.orphans:
        return []
    console.print(f"[red]no reconstruction service takes jobs[/]: {len(jobs.orphans)} are due and nobody does them")
    return ["reconstruction service"]


def _print_waiting(waiting: Waiting, console: Console) -> None:
    if waiting.count:
        console.print(f"[yellow]{waiting.count} projections wait[/], none lost, the oldest {ago(waiting.oldest_s)} old")
    else:
        console.print("no projection waits")


def _print_unmapped(catalog: Catalog, console: Console) -> None:
    count = sum(1 for _ in Backlog(catalog).waiting_structured_runs())
    if count:
        console.print(f"[yellow]{count} structured-illumination runs wait for their maps[/]")


def _print_series(catalog: Catalog, console: Console) -> None:
    series = list_series(catalog)
    for record in series[:_SHOWN_SERIES]:
        done = f"{len(record.done_angles)} of {record.n_angles} angles of {', '.join(record.elements)}"
        waiting = record.metadata.get("waiting")
        state = f"[yellow]{escape(str(waiting))}[/]" if waiting else record.state
        console.print(f"series [bold]{record.key}[/]: {done}, {state}; uid {record.series_uid}", soft_wrap=True)
    if len(series) > _SHOWN_SERIES:
        console.print(f"and {len(series) - _SHOWN_SERIES} older series")


def _print_single_pixel(catalog: Catalog, console: Console) -> None:
    records = list_single_pixel(catalog)
    for record in records[:_SHOWN_SERIES]:
        how = record.metadata.get("method", "")
        made = f"{', '.join(record.elements)} by {how}, " if how else ""
        console.print(f"maps [bold]{record.key}[/]: {made}{record.state}; run {record.run_uid}", soft_wrap=True)
    if len(records) > _SHOWN_SERIES:
        console.print(f"and {len(records) - _SHOWN_SERIES} older maps")


def _print_parked(catalog: Catalog, console: Console) -> None:
    for run in parked_runs(catalog).values():
        console.print(f"[yellow]parked[/] run {run.run_uid}: {escape(run.reason)}", soft_wrap=True)
