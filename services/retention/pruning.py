"""`subprobe prune`: look, tell, and remove only when asked to."""

import time
from collections.abc import Iterable

from rich.console import Console

from services.catalog.client import Catalog
from services.catalog.products import find_series
from services.catalog.records import CatalogError
from services.catalog.retention import (
    Room,
    enhanced_of,
    remove_enhanced,
    remove_volume,
    remove_worker,
    room_of,
    stored_volumes,
)
from services.catalog.workers import published_workers
from services.reconstruction.jobs import JobStore, UnknownJobError
from services.retention.plan import UNKNOWN, JobWord, Removal, gone_workers, old_volumes, unfinished_volumes


def plan_old(catalog: Catalog, store: JobStore | None, older_than_days: float) -> list[Removal]:
    """What is old or was left behind: volumes, and words of workers."""
    volumes, now = stored_volumes(catalog), time.time()
    jobs = {} if store is None else _jobs_of(store, (volume.job_id for volume in volumes))
    return [
        *old_volumes(volumes, jobs, older_than_days, now),
        *unfinished_volumes(volumes, jobs, older_than_days, now),
        *gone_workers(published_workers(catalog), older_than_days, now),
    ]


def plan_enhanced(catalog: Catalog, key_or_uid: str) -> list[Removal]:
    """The enhanced maps of a series that is complete.

    Raises:
        CatalogError: there is no such series, or it is still measured.
    """
    series = find_series(catalog, key_or_uid)
    if series.state != "complete":
        done = f"{len(series.done_angles)} of {series.n_angles} angles are done"
        raise CatalogError(f"series {series.key} is not complete ({done}): its enhanced maps are still being written")
    return [Removal("enhanced", (series.key, name), "asked for") for name in enhanced_of(catalog, series.key)]


def prune(catalog: Catalog, store: JobStore | None, removals: list[Removal], is_meant: bool, console: Console) -> bool:
    """Tell each removal with the room it takes, and do it where that is meant.

    Returns:
        False where something could not be removed.
    """
    total, is_well = Room(0, 0), True
    for removal in removals:
        try:
            room = room_of(catalog, *removal.place)
            if is_meant:
                _remove(catalog, store, removal)
        except CatalogError as error:
            console.print(f"[red]stays[/] /processed/{'/'.join(removal.place)}: {error}", soft_wrap=True)
            is_well = False
            continue
        total += room
        told = "removed" if is_meant else "would go"
        place = "/".join(removal.place)
        console.print(f"{told} /processed/{place}, {words(room)}: {removal.why}", soft_wrap=True, markup=False)
    if not removals:
        console.print("nothing to remove")
    elif is_meant:
        console.print(f"removed {words(total)}")
    else:
        console.print(f"{words(total)} in {len(removals)} places; nothing was removed: add --yes to do it")
    return is_well


def words(room: Room) -> str:
    """Bytes in words, on disk where that is known."""
    disk = "" if room.disk_bytes is None else f" ({_bytes(room.disk_bytes)} on disk)"
    return f"{_bytes(room.array_bytes)}{disk}"


def _remove(catalog: Catalog, store: JobStore | None, removal: Removal) -> None:
    match removal.kind, removal.place:
        case "worker", (_, key):
            remove_worker(catalog, key)
        case "enhanced", (series_key, name):
            remove_enhanced(catalog, series_key, name)
        case "volume", (series_key, _, job_id):
            remove_volume(catalog, series_key, job_id)
            if store is not None:
                store.note_pruned(job_id)


def _jobs_of(store: JobStore, job_ids: Iterable[str]) -> dict[str, JobWord]:
    told = {}
    for job_id in job_ids:
        try:
            job = store.get(job_id)
        except UnknownJobError:
            told[job_id] = UNKNOWN
        else:
            finished_at = None if job.finished_at is None else job.finished_at.timestamp()
            told[job_id] = JobWord(job.state, finished_at)
    return told


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
