"""Projection runs in ``/raw`` as typed records: which are finished, and what one of them measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from tiled.queries import Eq, SpecsQuery

from models.run_schema import (
    I0,
    LIVE_TIME_S,
    PROBE_PURPOSE,
    PROJECTION_SPEC,
    PTYCHOGRAPHY_SPEC,
    REAL_TIME_S,
    SPECTRA,
    XRF_STREAM,
    ProjectionStart,
)
from models.start_documents import LONGEST_NAME
from models.structured_schema import STRUCTURED_PURPOSE, STRUCTURED_SPEC
from services.catalog.client import AccessTags, Catalog, access_tags_of, catalog_errors
from services.catalog.measured_arrays import check_arrays, read_array, stream_arrays
from services.catalog.records import MalformedRunError, NotFoundError, RawProjection
from services.logs import LoggedPool

_DTYPES: dict[str, DTypeLike] = {
    SPECTRA: np.uint32,
    LIVE_TIME_S: np.float32,
    REAL_TIME_S: np.float32,
    I0: np.float64,
}
_NEWEST_FIRST = ("", -1)
_LARGEST_SCAN_ID = 2**53
_LATEST_TIME = 1e11
"""In the year 5138."""


@dataclass(frozen=True)
class FinishedRun:
    """A projection run that has its stop document, as far as its metadata tells."""

    run_uid: str
    start_time: float
    """Seconds since the epoch."""
    stop_time: float
    exit_status: str
    start: Mapping[str, Any]
    """The start document, not yet checked."""

    @classmethod
    def from_metadata(cls, run_uid: str, metadata: Mapping[str, Any]) -> "FinishedRun":
        """What a run's metadata says; without stop document ``exit_status`` is empty."""
        start, stop = (_document(metadata.get(name)) for name in ("start", "stop"))
        return cls(run_uid, _time(start), _time(stop), str(stop.get("exit_status", "")), start)

    @property
    def is_success(self) -> bool:
        """Whether the scan ended as planned; one that was aborted or failed is not processed."""
        return self.exit_status == "success"

    @property
    def is_probe_scan(self) -> bool:
        """Whether it is a ptychography run, which makes the probe known, and no projection."""
        return self.start.get("purpose") == PROBE_PURPOSE

    @property
    def is_structured(self) -> bool:
        """Whether it is a structured-illumination run, which has no angle and no series."""
        return self.start.get("purpose") == STRUCTURED_PURPOSE

    @property
    def takes_long(self) -> bool:
        """Whether it is worked on for many seconds by one worker, and read by nobody ahead."""
        return self.is_probe_scan or self.is_structured

    @property
    def series_uid(self) -> str:
        """Of the series it says it belongs to; empty where it does not say, or says what cannot be one."""
        uid = self.start.get("series_uid")
        return uid if isinstance(uid, str) and len(uid) <= LONGEST_NAME and uid.isprintable() else ""

    @property
    def scan_id(self) -> int:
        """As the RunEngine counts; 0 where it did not."""
        counted = self.start.get("scan_id")
        return counted if type(counted) is int and abs(counted) < _LARGEST_SCAN_ID else 0


def _document(metadata: Any) -> dict[str, Any]:
    return dict(metadata) if isinstance(metadata, Mapping) else {}


def _time(document: Mapping[str, Any]) -> float:
    """What is no time counts as the oldest: a run with it is looked at, and then told to be malformed or not."""
    time = document.get("time")
    return float(time) if isinstance(time, int | float) and 0 <= time < _LATEST_TIME else 0.0


def finished_projections(catalog: Catalog) -> Iterator[FinishedRun]:
    """Every successfully finished projection run, the newest first; listed page by page as it is consumed."""
    return _finished(catalog, PROJECTION_SPEC)


def finished_probe_scans(catalog: Catalog) -> Iterator[FinishedRun]:
    """Every successfully finished ptychography run, the newest first."""
    return _finished(catalog, PTYCHOGRAPHY_SPEC)


def finished_structured_runs(catalog: Catalog) -> Iterator[FinishedRun]:
    """Every successfully finished structured-illumination run, the newest first."""
    return _finished(catalog, STRUCTURED_SPEC)


def probe_scan_for(catalog: Catalog, series_uid: str) -> FinishedRun | None:
    """The newest ptychography run that was taken for a series and did not fail; it may still be measured."""
    with catalog_errors(f"looking for a ptychography run of series {series_uid}"):
        scans = catalog.raw.search(SpecsQuery([PTYCHOGRAPHY_SPEC])).search(Eq("start.series_uid", series_uid))
        for run_uid, run in scans.sort(_NEWEST_FIRST).items():
            scan = FinishedRun.from_metadata(run_uid, run.metadata)
            if scan.is_success or not scan.exit_status:
                return scan
    return None


def _finished(catalog: Catalog, spec: str) -> Iterator[FinishedRun]:
    found = catalog.raw.search(SpecsQuery([spec])).search(Eq("stop.exit_status", "success")).sort(_NEWEST_FIRST)
    with catalog_errors(f"listing finished runs of {spec}"):
        for run_uid, run in found.items():
            yield FinishedRun.from_metadata(run_uid, run.metadata)


def earliest_run(catalog: Catalog, series_uid: str) -> FinishedRun:
    """The first projection of a series, finished or not: it names the series, so that every worker finds the same name.

    Raises:
        NotFoundError: no projection of that series.
    """
    with catalog_errors(f"looking for the runs of series {series_uid}"):
        projections = catalog.raw.search(SpecsQuery([PROJECTION_SPEC]))
        for run_uid, run in projections.search(Eq("start.series_uid", series_uid)).items():
            return FinishedRun.from_metadata(run_uid, run.metadata)
    raise NotFoundError(f"no run of series {series_uid} in /raw: is the series uid right?")


def access_tags_of_run(catalog: Catalog, run_uid: str) -> AccessTags:
    """Who may see a run, and all that comes of it.

    Raises:
        NotFoundError: no such run.
    """
    if not access_tags_of(catalog.raw):
        return frozenset()  # nobody is kept apart on this server
    with catalog_errors(f"looking who may see run {run_uid}"):
        try:
            return access_tags_of(catalog.root["raw", run_uid])
        except KeyError as error:
            raise NotFoundError(f"no run {run_uid} in /raw") from error


def projection_start(run_uid: str, start_document: Mapping[str, Any]) -> ProjectionStart:
    """What a run's start document says about its projection.

    Raises:
        MalformedRunError: it lacks something or contradicts itself; the message names it.
    """
    try:
        return ProjectionStart.from_metadata(start_document)
    except ValueError as error:
        raise MalformedRunError(f"run {run_uid}: {error}") from error


def read_projection(catalog: Catalog, run_uid: str) -> RawProjection:
    """Read one finished run with everything it measured.

    Raises:
        NotFoundError: no such run.
        MalformedRunError: it is no projection, is not finished, or lacks something; the message names it.
    """
    with catalog_errors(f"reading run {run_uid}"):
        try:
            metadata = dict(catalog.root["raw", run_uid].metadata)
        except KeyError as error:
            raise NotFoundError(f"no run {run_uid} in /raw") from error
    return read_measured(catalog, FinishedRun.from_metadata(run_uid, metadata))


def read_measured(catalog: Catalog, run: FinishedRun) -> RawProjection:
    """Read what a run measured whose metadata is known already.

    Raises:
        MalformedRunError: it is no projection, is not finished, or lacks something; the message names it.
    """
    if not run.is_success:
        ended = f"ended with {run.exit_status!r}: only whole projections are processed"
        unended = "has no stop document: it is still measured, or its writer died"
        raise MalformedRunError(f"run {run.run_uid} {ended if run.exit_status else unended}")
    start = projection_start(run.run_uid, run.start)
    with catalog_errors(f"reading run {run.run_uid}"), LoggedPool(len(_DTYPES)) as threads:
        announced = stream_arrays(catalog, run.run_uid, XRF_STREAM)
        missing = [name for name in _DTYPES if name not in announced]
        if missing:
            raise MalformedRunError(f"run {run.run_uid} has no {', '.join(missing)} in its stream {XRF_STREAM!r}")
        check_arrays(run.run_uid, announced, _needed_shapes(run.run_uid, start, announced[SPECTRA].shape))
        read = {name: threads.submit(read_array, catalog, run.run_uid, announced[name]) for name in _DTYPES}
        arrays = {name: future.result().astype(_DTYPES[name], copy=False) for name, future in read.items()}
    return RawProjection(
        run_uid=run.run_uid,
        scan_id=run.scan_id,
        start_time=run.start_time,
        start=start,
        spectra=arrays[SPECTRA],
        live_time_s=arrays[LIVE_TIME_S],
        real_time_s=arrays[REAL_TIME_S],
        i0=arrays[I0],
    )


def _needed_shapes(run_uid: str, start: ProjectionStart, spectra: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    rows_asked, points = start.scan.shape
    rows = spectra[0] if spectra else 0
    if not 1 <= rows <= rows_asked:
        raise MalformedRunError(f"run {run_uid} has {rows} rows of spectra where the scan asked for {rows_asked}")
    detectors = start.detector.n_detectors
    return {
        SPECTRA: (rows, points, detectors, start.detector.n_channels),
        LIVE_TIME_S: (rows, points, detectors),
        REAL_TIME_S: (rows, points, detectors),
        I0: (rows, points),
    }
