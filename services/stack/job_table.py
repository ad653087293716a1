"""Reconstruction jobs for people at 3 am: from the job table, which answers also where the service is down."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from services.monitoring.service_metrics import Census
from services.reconstruction.job_database import JobTableUnreachableError
from services.reconstruction.jobs import Job, JobStore
from services.settings import Settings
from services.stack.folder import StackFolder

_DEAD_AFTER = timedelta(seconds=60)
"""A living service takes a job that is due within seconds."""
_NEWS = timedelta(days=1)
_SHOWN = 5


@dataclass(frozen=True)
class JobsView:
    """The job table as it is now.

    Attributes:
        census: jobs by state, and how long the oldest waits.
        running: jobs that somebody runs.
        failed: of the last day, newest first.
        orphans: jobs that a living service would have taken: they are due, and nobody runs anything.
    """

    census: Census
    running: list[Job]
    failed: list[Job]
    orphans: list[Job]


class NoJobTableError(LookupError):
    """There is none to be read; the message says what to do."""


def job_table_uri(settings: Settings, folder: StackFolder) -> str:
    """Of the table: as the settings say, else that of a stack in the folder.

    Raises:
        NoJobTableError: neither is there.
    """
    if "database_uri" in settings.reconstruction.model_fields_set:
        return settings.reconstruction.database_uri
    if (folder.root / "jobs.db").exists():
        return folder.jobs_uri
    raise NoJobTableError("no job table is known: set SUBPROBE_RECONSTRUCTION__DATABASE_URI to that of the service")


def view_jobs(settings: Settings, folder: StackFolder) -> JobsView:
    """Look at the table once.

    Raises:
        NoJobTableError: there is none, or it does not answer.
    """
    uri = job_table_uri(settings, folder)
    try:
        store = JobStore(uri)
        try:
            running, queued = store.newest("running"), store.newest("queued")
            failed = store.newest("failed", _SHOWN, since=datetime.now(UTC) - _NEWS)
            return JobsView(store.census(), running, failed, _orphans(running, queued))
        finally:
            store.close()
    except (JobTableUnreachableError, SQLAlchemyError) as error:  # a message may name the address, user and all
        raise NoJobTableError(f"the job table does not answer ({type(error).__name__})") from error


def _orphans(running: list[Job], queued: list[Job]) -> list[Job]:
    late = datetime.now(UTC) - _DEAD_AFTER
    lost = [job for job in running if job.due_at < late]
    if len(lost) < len(running):
        return lost  # somebody lives and is busy: what is queued waits its turn
    return lost + [job for job in queued if job.due_at < late]
