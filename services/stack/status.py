"""What runs, what waits, and what went wrong last."""

import time
from dataclasses import dataclass

from rich.console import Console

from services.catalog.backlog import Backlog
from services.catalog.client import Catalog, connect
from services.catalog.parking import parked_runs
from services.catalog.products import list_series
from services.catalog.records import CatalogError
from services.inference.status import read_statuses
from services.settings import Settings
from services.stack.embedded import read_stack_file, running_processes
from services.stack.folder import StackFolder

_SHOWN_SERIES = 10


@dataclass(frozen=True)
class Waiting:
    """Finished projections that no worker has processed."""

    count: int
    oldest_s: float


def print_status(settings: Settings, console: Console) -> bool:
    """Print the state of a stack for a person at 3 am; whether everything runs."""
    folder = StackFolder(settings.folder.resolve())
    processes_run = _print_processes(folder, console)
    _print_workers(folder, console)
    try:
        catalog = connect(str(settings.tiled.uri), settings.tiled.key)
    except CatalogError as error:
        console.print(f"[red]Tiled does not answer:[/] {error}", soft_wrap=True)
        return False
    with catalog:
        _print_waiting(waiting_projections(catalog), console)
        _print_series(catalog, console)
        _print_parked(catalog, console)
    return processes_run


def waiting_projections(catalog: Catalog) -> Waiting:
    """Count what waits; the age is that of the run that ended first."""
    stop_times = [run.stop_time for run in Backlog(catalog).waiting()]
    return Waiting(len(stop_times), time.time() - min(stop_times) if stop_times else 0.0)


def _print_processes(folder: StackFolder, console: Console) -> bool:
    record = read_stack_file(folder)
    if record is None:
        console.print(f"no embedded stack in {folder.root}", soft_wrap=True)
        return True
    processes = record["processes"]
    assert isinstance(processes, dict)
    running = running_processes(folder)
    for name, pid in processes.items():
        state = "[green]runs[/]" if name in running else "[red]is down[/]"
        console.print(f"{name:<16} {state}, pid {pid}, log {folder.logs / name}.log", soft_wrap=True)
    return len(running) == len(processes)


def _print_workers(folder: StackFolder, console: Console) -> None:
    for worker in read_statuses(folder.status):
        age_s = time.time() - worker.updated_at
        console.print(f"{worker.name:<16} {worker.state} {age_s:.0f} s ago, {worker.n_done} done since its start")
        for label, text in (("waiting for", worker.waiting_for), ("last error", worker.last_error)):
            if text:
                console.print(f"{'':<16} {label}: {text}", soft_wrap=True, markup=False)


def _print_waiting(waiting: Waiting, console: Console) -> None:
    if waiting.count:
        console.print(
            f"[yellow]{waiting.count} projections wait[/], none lost, the oldest {waiting.oldest_s:.0f} s old"
        )
    else:
        console.print("no projection waits")


def _print_series(catalog: Catalog, console: Console) -> None:
    series = list_series(catalog)
    for record in series[:_SHOWN_SERIES]:
        done = f"{len(record.done_angles)} of {record.n_angles} angles of {', '.join(record.elements)}"
        waiting = record.metadata.get("waiting")
        state = f"[yellow]{waiting}[/]" if waiting else record.state
        console.print(f"series [bold]{record.key}[/]: {done}, {state}; uid {record.series_uid}", soft_wrap=True)
    if len(series) > _SHOWN_SERIES:
        console.print(f"and {len(series) - _SHOWN_SERIES} older series")


def _print_parked(catalog: Catalog, console: Console) -> None:
    for run in parked_runs(catalog).values():
        console.print(f"[yellow]parked[/] run {run.run_uid}: {run.reason}", soft_wrap=True)
