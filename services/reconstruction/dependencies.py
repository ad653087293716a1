"""What operations are handed: the parts of the running service, and the series or job that a path names."""

import re
import threading
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from services.catalog.client import Catalog, connect
from services.catalog.products import find_series
from services.catalog.records import NotFoundError, SeriesRecord
from services.reconstruction.auth import Authenticated, Caller
from services.reconstruction.jobs import Job, JobStore, UnknownJobError
from services.reconstruction.problems import Problem
from services.reconstruction.runner import Runner
from services.settings import TiledSettings

# As keys and uids are made; "..", "/" and control characters never come into an address that Tiled is asked for.
_SERIES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)


class CatalogConnection:
    """The connection to Tiled that all share, opened when first needed: the service starts without Tiled."""

    def __init__(self, settings: TiledSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None

    def get(self) -> Catalog:
        """The open connection.

        Raises:
            CatalogUnreachableError: Tiled does not answer.
        """
        with self._lock:
            if self._catalog is None:
                self._catalog = connect(str(self._settings.uri), self._settings.key)
            return self._catalog

    def close(self) -> None:
        """Close the shared connection."""
        with self._lock:
            if self._catalog is not None:
                self._catalog.close()
                self._catalog = None


def _catalog(request: Request) -> Catalog:
    connection: CatalogConnection = request.app.state.catalog
    return connection.get()


def _store(request: Request) -> JobStore:
    store: JobStore = request.app.state.store
    return store


def _runner(request: Request) -> Runner:
    runner: Runner = request.app.state.runner
    return runner


def _tiled_for_people(request: Request) -> str:
    uri: str = request.app.state.tiled_for_people
    return uri


TheCatalog = Annotated[Catalog, Depends(_catalog)]
TheStore = Annotated[JobStore, Depends(_store)]
TheRunner = Annotated[Runner, Depends(_runner)]
TiledForPeople = Annotated[str, Depends(_tiled_for_people)]


def visible_series(catalog: Catalog, caller: Caller, key_or_uid: str) -> SeriesRecord:
    """The series of that key or uid.

    Raises:
        Problem: 404 where there is none, or it is not open to this caller.
    """
    try:
        if _SERIES.fullmatch(key_or_uid) and caller.may_see((series := find_series(catalog, key_or_uid)).key):
            return series
    except NotFoundError:
        pass
    raise Problem(
        404,
        "There is no such series, or your key does not open it: GET /api/v1/series lists those you see",
        "unknown-series",
    )


def _series_of_path(
    catalog: TheCatalog,
    caller: Authenticated,
    key: Annotated[str, Path(description="Key of the series in /processed, or its series_uid", max_length=255)],
) -> SeriesRecord:
    return visible_series(catalog, caller, key)


def _job_of_path(store: TheStore, caller: Authenticated, job_id: UUID) -> Job:
    try:
        job = store.get(str(job_id))
    except UnknownJobError:
        job = None
    if job is None or not caller.may_see(job.series_key):
        raise Problem(
            404, "There is no such reconstruction, or your key does not open its series", "unknown-reconstruction"
        )
    return job


SeriesOfPath = Annotated[SeriesRecord, Depends(_series_of_path)]
JobOfPath = Annotated[Job, Depends(_job_of_path)]
