"""The job table: what was asked for, who does it, how it ended; every change is one conditional UPDATE."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from uuid import uuid4

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.types import TypeDecorator

from services.monitoring.service_metrics import Census
from services.reconstruction.job_database import JobDatabase

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)
FINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
MOST_ATTEMPTS = 5
"""A job whose process died that often is given up: it is probably what kills the process."""


class _Utc(TypeDecorator[datetime]):
    """Aware datetimes also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


_TABLE = Table(
    "reconstruction_jobs",
    MetaData(),
    Column("id", String(36), primary_key=True),
    Column("series_key", String(255), nullable=False, index=True),
    Column("request", JSON, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("progress", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("error", Text),
    Column("result", JSON),
    Column("created_at", _Utc, nullable=False, index=True),
    Column("started_at", _Utc),
    Column("finished_at", _Utc),
    Column("due_at", _Utc, nullable=False),
    Column("worker", String(255)),
    Column("attempts", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
)
_column = _TABLE.c


@dataclass(frozen=True)
class Job:
    """One row of the table."""

    id: str
    series_key: str
    request: dict[str, Any]
    """The request's JSON as it was accepted."""
    state: JobState
    progress: float
    """0 to 1."""
    message: str
    error: str | None
    result: dict[str, Any] | None
    """The result's JSON, once succeeded."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime
    """Queued: not to be claimed before. Running: the end of the lease; later its process is dead, the job due again."""
    worker: str | None
    attempts: int
    cancel_requested: bool
    revision: int
    """Counts the visible changes."""

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES


class UnknownJobError(LookupError):
    """No job has that id."""


class JobStore:
    """The jobs of every replica of the service; every operation raises JobTableUnreachableError without its database.

    Args:
        database_uri: SQLAlchemy URI; SQLite for one replica, PostgreSQL for several. It need not answer yet.
        lease_s: a running job that is not renewed for so long belongs to a dead process.
    """

    def __init__(self, database_uri: str, lease_s: float = 15.0) -> None:
        self.lease_s = lease_s
        self._database = JobDatabase(database_uri, _TABLE.metadata)

    def close(self) -> None:
        """Close the connections to the database."""
        self._database.close()

    def create(self, series_key: str, request: Mapping[str, Any]) -> Job:
        """Queue a job."""
        job = Job(
            id=str(uuid4()),
            series_key=series_key,
            request=dict(request),
            state="queued",
            progress=0.0,
            message="waiting",
            error=None,
            result=None,
            created_at=_now(),
            started_at=None,
            finished_at=None,
            due_at=_now(),
            worker=None,
            attempts=0,
            cancel_requested=False,
            revision=0,
        )
        with self._database.transaction() as connection:
            connection.execute(insert(_TABLE).values(**vars(job)))
        return job

    def get(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            UnknownJobError: there is none.
        """
        with self._database.transaction() as connection:
            row = connection.execute(select(_TABLE).where(_column.id == job_id)).one_or_none()
        if row is None:
            raise UnknownJobError(f"no reconstruction {job_id}")
        return Job(**row._mapping)

    def page(
        self, series_keys: Collection[str], state: JobState | None = None, limit: int = 20, offset: int = 0
    ) -> tuple[list[Job], int]:
        """Jobs of these series, newest first, and how many there are in all."""
        wanted: list[ColumnElement[bool]] = [_column.series_key.in_(series_keys)]
        if state is not None:
            wanted.append(_column.state == state)
        newest_first = select(_TABLE).where(*wanted).order_by(_column.created_at.desc(), _column.id)
        with self._database.transaction() as connection:
            total = connection.execute(select(func.count()).select_from(_TABLE).where(*wanted)).scalar_one()
            rows = connection.execute(newest_first.limit(limit).offset(offset)).all()
        return [Job(**row._mapping) for row in rows], total

    def claim(self, worker: str) -> Job | None:
        """Take the oldest job that is due, if there is one: queued, or running under a lease that has ended."""
        while (candidate := self._oldest_due()) is not None:
            now = _now()
            unclaimed = (_column.revision == candidate.revision, _column.due_at <= now)
            if candidate.cancel_requested:
                self._change(candidate.id, *unclaimed, **_ended("cancelled", "cancelled"))
            elif candidate.state == "running" and candidate.attempts >= MOST_ATTEMPTS:
                error = (
                    f"the service died {candidate.attempts} times while it ran this job: is there enough memory for it?"
                )
                self._change(candidate.id, *unclaimed, **_ended("failed", "given up"), error=error)
            elif self._change(
                candidate.id,
                *unclaimed,
                state="running",
                worker=worker,
                attempts=candidate.attempts + 1,
                started_at=candidate.started_at or now,
                due_at=now + timedelta(seconds=self.lease_s),
                progress=0.0,
                message="starting" if candidate.state == "queued" else "starting again after its process died",
            ):
                return self.get(candidate.id)
        return None

    def renew(self, job: Job) -> bool:
        """Extend the lease of a job; False when it is no longer ours to run or its cancellation was asked for."""
        due_at = _now() + timedelta(seconds=self.lease_s)
        mine = update(_TABLE).where(_column.id == job.id, *_held_by(job)).values(due_at=due_at)
        with self._database.transaction() as connection:
            is_mine = connection.execute(mine).rowcount == 1
        return is_mine and not self.get(job.id).cancel_requested

    def report(self, job: Job, progress: float, message: str) -> None:
        """Tell how far a running job is."""
        self._change(job.id, *_held_by(job), progress=progress, message=message)

    def succeed(self, job: Job, result: Mapping[str, Any]) -> None:
        """End a job with its result."""
        self._change(
            job.id, *_held_by(job), **_ended("succeeded", "done"), progress=1.0, result=dict(result), error=None
        )

    def fail(self, job: Job, error: str) -> bool:
        """End a job with what went wrong; False where it is not ours any more."""
        return self._change(job.id, *_held_by(job), **_ended("failed", "failed"), error=error)

    def give_back(self, job: Job, message: str, wait_s: float = 0.0) -> None:
        """Queue a running job again through no fault of its own: the attempt is not counted."""
        due_at = _now() + timedelta(seconds=wait_s)
        attempts = job.attempts - 1
        back = {"state": "queued", "worker": None, "due_at": due_at, "attempts": attempts, "message": message}
        self._change(job.id, *_held_by(job), **back)

    def end_cancelled(self, job: Job) -> bool:
        """End a running job if its cancellation was asked for; False if not, or if it is no longer ours."""
        asked = _column.cancel_requested.is_(True)
        return self._change(job.id, *_held_by(job), asked, **_ended("cancelled", "cancelled"))

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job: at once if it waits, at its next step if it runs, without effect if it has ended.

        Raises:
            UnknownJobError: there is none.
        """
        if not self._change(job_id, _column.state == "queued", **_ended("cancelled", "cancelled before it began")):
            asked = {"cancel_requested": True, "message": "stopping"}
            self._change(job_id, _column.state == "running", _column.cancel_requested.is_(False), **asked)
        return self.get(job_id)

    def census(self) -> Census:
        """How many jobs are in each state, and how long the oldest waits."""
        counted = select(_column.state, func.count()).group_by(_column.state)
        oldest = select(func.min(_column.created_at)).where(_column.state == "queued")
        with self._database.transaction() as connection:
            states = {row[0]: row[1] for row in connection.execute(counted)}
            created_at = connection.execute(oldest).scalar_one()
        return Census(
            dict.fromkeys(JOB_STATES, 0) | states, 0.0 if created_at is None else (_now() - created_at).total_seconds()
        )

    def newest(self, state: JobState, limit: int = 20, since: datetime | None = None) -> list[Job]:
        """Jobs of all series in a state, newest first; ``since`` leaves out those that ended before."""
        wanted = select(_TABLE).where(_column.state == state)
        if since is not None:
            wanted = wanted.where(_column.finished_at >= since)
        with self._database.transaction() as connection:
            rows = connection.execute(wanted.order_by(_column.created_at.desc(), _column.id).limit(limit)).all()
        return [Job(**row._mapping) for row in rows]

    def note_pruned(self, job_id: str) -> None:
        """Remember that the volume of a job that succeeded was removed; any other job stays as it is."""
        try:
            job = self.get(job_id)
        except UnknownJobError:
            return
        result = {**(job.result or {}), "pruned_at": _now().isoformat()}
        message = "done; its volume was pruned since: ask for it again where it is needed"
        self._change(job_id, _column.state == "succeeded", result=result, message=message)

    def ping(self) -> None:
        """Make sure that the database answers."""
        with self._database.transaction() as connection:
            connection.execute(select(1))

    def _oldest_due(self) -> Job | None:
        due = select(_TABLE).where(_column.state.in_(("queued", "running")), _column.due_at <= _now())
        with self._database.transaction() as connection:
            row = connection.execute(due.order_by(_column.created_at, _column.id).limit(1)).one_or_none()
        return None if row is None else Job(**row._mapping)

    def _change(self, job_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        values["revision"] = _column.revision + 1
        with self._database.transaction() as connection:
            changed = connection.execute(update(_TABLE).where(_column.id == job_id, *conditions).values(**values))
        return changed.rowcount == 1


def _now() -> datetime:
    return datetime.now(UTC)


def _ended(state: JobState, message: str) -> dict[str, Any]:
    return {"state": state, "message": message, "finished_at": _now(), "worker": None}


def _held_by(job: Job) -> tuple[ColumnElement[bool], ...]:
    # The attempt too: a process that lost its lease and took the job again must not speak for its former self.
    return _column.state == "running", _column.worker == job.worker, _column.attempts == job.attempts
