"""Projection runs in ``/raw`` as typed records: which are finished, and what one of them measured."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import DTypeLike, NDArray
from tiled.client.utils import MSGPACK_MIME_TYPE, client_for_item, handle_error
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
from services.catalog.client import AccessTags, Catalog, access_tags_of, catalog_errors
from services.catalog.records import MalformedRunError, NotFoundError, RawProjection

_DTYPES: dict[str, DTypeLike] = {
    SPECTRA: np.uint32,
    LIVE_TIME_S: np.float32,
    REAL_TIME_S: np.float32,
    I0: np.float64,
}
_NEWEST_FIRST = ("", -1)


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
        start, stop = metadata.get("start") or {}, metadata.get("stop") or {}
        started, stopped = (float(document.get("time", 0.0)) for document in (start, stop))
        return cls(run_uid, started, stopped, str(stop.get("exit_status", "")), dict(start))

    @property
    def is_success(self) -> bool:
        """Whether the scan ended as planned; one that was aborted or failed is not processed."""
        return self.exit_status == "success"

    @property
    def is_probe_scan(self) -> bool:
        """Whether it is a ptychography run, which makes the probe known, and no projection."""
        return self.start.get("purpose") == PROBE_PURPOSE

    @property
    def series_uid(self) -> str:
        """Of the series it says it belongs to; empty where it does not say."""
        return str(self.start.get("series_uid", ""))


def finished_projections(catalog: Catalog) -> Iterator[FinishedRun]:
    """Every successfully finished projection run, the newest first; listed page by page as it is consumed."""
    return _finished(catalog, PROJECTION_SPEC)


def finished_probe_scans(catalog: Catalog) -> Iterator[FinishedRun]:
    """Every successfully finished ptychography run, the newest first."""
    return _finished(catalog, PTYCHOGRAPHY_SPEC)


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
        start = ProjectionStart.from_metadata(start_document)
    except ValueError as error:
        raise MalformedRunError(f"run {run_uid}: {error}") from error
    if start.angles_deg and len(start.angles_deg) != start.n_angles:
        raise MalformedRunError(
            f"run {run_uid}: angles_deg has {len(start.angles_deg)} entries for n_angles = {start.n_angles}"
        )
    return start


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
    with catalog_errors(f"reading run {run.run_uid}"), ThreadPoolExecutor(len(_DTYPES)) as threads:
        nodes = _stream_arrays(catalog, run.run_uid)
        missing = [name for name in _DTYPES if name not in nodes]
        if missing:
            raise MalformedRunError(f"run {run.run_uid} has no {', '.join(missing)} in its stream {XRF_STREAM!r}")
        read = {name: threads.submit(nodes[name].read) for name in _DTYPES}
        arrays = {name: future.result().astype(_DTYPES[name], copy=False) for name, future in read.items()}
    _check_shapes(run.run_uid, start, arrays)
    return RawProjection(
        run_uid=run.run_uid,
        scan_id=int(run.start.get("scan_id", 0)),
        start_time=run.start_time,
        start=start,
        spectra=arrays[SPECTRA],
        live_time_s=arrays[LIVE_TIME_S],
        real_time_s=arrays[REAL_TIME_S],
        i0=arrays[I0],
    )


def _stream_arrays(catalog: Catalog, run_uid: str) -> dict[str, Any]:
    """Array clients of the projection's stream by data key, from one listing: going there node by node takes three."""
    context = catalog.root.context
    listing = f"{catalog.root.item['links']['search'].rstrip('/')}/raw/{run_uid}/{XRF_STREAM}"
    response = context.http_client.get(listing, headers={"Accept": MSGPACK_MIME_TYPE})
    if response.status_code == httpx.codes.NOT_FOUND:
        raise MalformedRunError(f"run {run_uid} has no stream {XRF_STREAM!r}: nothing was measured in it")
    children = handle_error(response).json()["data"]
    return {child["id"]: client_for_item(context, catalog.root.structure_clients, child) for child in children}


def _check_shapes(run_uid: str, start: ProjectionStart, arrays: Mapping[str, NDArray[Any]]) -> None:
    rows_asked, points = start.scan.shape
    rows = arrays[SPECTRA].shape[0]
    if not 1 <= rows <= rows_asked:
        raise MalformedRunError(f"run {run_uid} has {rows} rows of spectra where the scan asked for {rows_asked}")
    detectors = start.detector.n_detectors
    needed = {
        SPECTRA: (rows, points, detectors, start.detector.n_channels),
        LIVE_TIME_S: (rows, points, detectors),
        REAL_TIME_S: (rows, points, detectors),
        I0: (rows, points),
    }
    for name, shape in needed.items():
        if arrays[name].shape != shape:
            raise MalformedRunError(f"run {run_uid}: {name} has shape {arrays[name].shape} where {shape} is needed")
