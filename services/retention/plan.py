"""What may go: decided from records alone, before anything is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.catalog.retention import StoredVolume
from services.catalog.workers import WORKERS, PublishedWorker

_DAY_S = 86400.0


@dataclass(frozen=True)
class Removal:
    """Something that goes, by its place in ``/processed``, and why."""

    kind: Literal["volume", "enhanced", "worker"]
    place: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class JobWord:
    """What the job table says of the job that makes, or made, a volume.

    Attributes:
        state: one of the table's, or ``unknown`` where it has no such job.
        finished_at: seconds since the epoch; None while it has not ended.
    """

    state: str
    finished_at: float | None


UNKNOWN = JobWord("unknown", None)


def old_volumes(
    volumes: Sequence[StoredVolume], jobs: Mapping[str, JobWord], older_than_days: float, now: float
) -> list[Removal]:
    """Complete volumes that are old, but for the newest of each series; of unknown age none is old."""
    complete = [volume for volume in volumes if volume.is_complete]
    made = {volume.job_id: volume.completed_at or jobs.get(volume.job_id, UNKNOWN).finished_at for volume in complete}
    # Volumes come in order: where times are unknown, the last one begun is the newest.
    newest = {volume.series_key: volume.job_id for volume in sorted(complete, key=lambda one: made[one.job_id] or 0.0)}
    removals = []
    for volume in complete:
        age_s = now - (made[volume.job_id] or now)
        if age_s > older_than_days * _DAY_S and newest[volume.series_key] != volume.job_id:
            removals.append(_volume(volume, f"{age_s / _DAY_S:.0f} days old, and the series has a newer one"))
    return removals


def unfinished_volumes(
    volumes: Sequence[StoredVolume], jobs: Mapping[str, JobWord], older_than_days: float, now: float
) -> list[Removal]:
    """What jobs left behind that will never finish it; without the job table nobody can tell, and none goes."""
    removals = []
    for volume in volumes:
        if volume.is_complete or volume.job_id not in jobs:
            continue
        job = jobs[volume.job_id]
        age_s = now - (volume.begun_at or now)
        if job.state in ("succeeded", "failed", "cancelled"):
            removals.append(_volume(volume, f"unfinished, and its job has {job.state}"))
        elif job == UNKNOWN and age_s > older_than_days * _DAY_S:
            removals.append(_volume(volume, f"unfinished for {age_s / _DAY_S:.0f} days by an unknown job"))
    return removals


def gone_workers(workers: Sequence[PublishedWorker], older_than_days: float, now: float) -> list[Removal]:
    """What workers said of themselves that were not heard of for long."""
    return [
        Removal("worker", (WORKERS, worker.key), f"not heard of for {(now - worker.published_at) / _DAY_S:.0f} days")
        for worker in workers
        if now - worker.published_at > older_than_days * _DAY_S
    ]


def _volume(volume: StoredVolume, why: str) -> Removal:
    return Removal("volume", (volume.series_key, "volumes", volume.job_id), why)
