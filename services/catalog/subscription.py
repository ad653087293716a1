"""Finished projections, ptychography and structured-illumination runs as they come, none lost and none twice.

The stream only wakes us: Tiled's in-memory stream forgets, and a restarted server begins again. The catalogue is the
truth. So the feed connects first, then lists what waits, and lists again every so often and after every new
connection. Tiled's own `Subscription` is not used: it hangs for ever where the handshake fails, holds callbacks
weakly, and swallows their errors; its messages are few and plain.
"""

import logging
import math
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgpack
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from models.run_schema import PROJECTION_SPEC, PTYCHOGRAPHY_SPEC
from models.structured_schema import STRUCTURED_SPEC
from services.catalog.backlog import Backlog
from services.catalog.client import Catalog, is_answering
from services.catalog.offered import MOST_OFFERED, OfferedRuns
from services.catalog.records import CatalogError
from services.catalog.runs import FinishedRun, finished_projections
from services.logs import log_context

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0
_RECEIVE_TIMEOUT_S = 0.5
_LARGEST_MESSAGE = 64 * 2**20
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_WHOLE_SWEEP_EVERY = 30
_SETTLED_IN_A_ROW = 100
_SPECS = {PROJECTION_SPEC, PTYCHOGRAPHY_SPEC, STRUCTURED_SPEC}


class ProjectionFeed:
    """Finds runs that wait to be processed, and offers them: live ones before the backlog; of that, probes' first,
    then those of structured illumination.

    Use it as a context manager: a thread of its own listens and sweeps until the block is left, and what it finds is
    taken from the `OfferedRuns` that the block is given.

    Args:
        catalog: to watch.
        sweep_s: the catalogue is listed that often for what the stream did not tell.
    """

    def __init__(self, catalog: Catalog, sweep_s: float) -> None:
        self._catalog = catalog
        self._sweep_s = sweep_s
        self._offered = OfferedRuns()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="projection-feed", daemon=True)
        self._n_sweeps = 0
        self._swept_at = -math.inf

    def __enter__(self) -> OfferedRuns:
        self._thread.start()
        return self._offered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._offered.close()
        self._thread.join()

    def _watch(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                with self._connection() as connection:
                    if failures:
                        log.info("the stream from Tiled is back")
                    failures = 0
                    self._listen(connection)
            except (OSError, InvalidHandshake, ConnectionClosed, CatalogError) as error:
                log.log(
                    logging.DEBUG if failures else logging.WARNING,
                    "no stream from Tiled, trying again: %s",
                    _told(error),
                )
                self._sweep_without_stream()
                self._closing.wait(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
            except Exception:
                log.exception("the projection feed stumbled; it goes on")
                self._closing.wait(_BACKOFF_S[-1])

    def _connection(self) -> ClientConnection:
        parts = urlsplit(self._catalog.uri)
        scheme = "wss" if parts.scheme == "https" else "ws"
        address = urlunsplit(
            (scheme, parts.netloc, f"{parts.path}/api/v1/stream/single/raw", "envelope_format=msgpack", "")
        )
        key = {"Authorization": f"Apikey {self._catalog.api_key}"} if self._catalog.api_key else {}
        return connect(address, additional_headers=key, open_timeout=_CONNECT_TIMEOUT_S, max_size=_LARGEST_MESSAGE)

    def _listen(self, connection: ClientConnection) -> None:
        self._sweep(whole=True)
        while not self._closing.is_set():
            if time.monotonic() - self._swept_at >= self._sweep_s:
                self._sweep(whole=self._n_sweeps % _WHOLE_SWEEP_EVERY == 0)
            with suppress(TimeoutError):
                self._take_in(connection.recv(timeout=min(_RECEIVE_TIMEOUT_S, self._sweep_s)))

    def _take_in(self, message: str | bytes) -> None:
        update: dict[str, Any] = msgpack.unpackb(message) if isinstance(message, bytes) else {}
        if update.get("type") != "container-child-metadata-updated":
            return
        run = FinishedRun.from_metadata(update["key"], update["metadata"])
        if _SPECS.isdisjoint(spec["name"] for spec in update["specs"]) or not run.exit_status:
            return
        if self._offered.is_settled(run.run_uid):
            return
        if run.is_success:
            self._offered.offer_live(run)
        else:
            with log_context(run_uid=run.run_uid, series_uid=run.series_uid):
                log.warning("run %s of series %s ended with %r: skipped", run.run_uid, run.series_uid, run.exit_status)

    def _sweep(self, whole: bool) -> None:
        """Offer what waits, the oldest first.

        A sweep that is not whole trusts what is known to be settled, and ends where many of the newest runs in a row
        held nothing new.
        """
        self._offered.begin_sweep()
        backlog = Backlog(self._catalog)
        whole = self._offered.retry_unparked(backlog.parked.keys()) or whole
        waiting: deque[FinishedRun] = deque(maxlen=MOST_OFFERED)  # the oldest
        nothing_new = 0
        for run in finished_projections(self._catalog):
            if self._offered.is_offered(run.run_uid):
                nothing_new += 1
            elif (not whole and self._offered.is_settled(run.run_uid)) or backlog.is_settled(run):
                self._offered.settle(run.run_uid)
                nothing_new += 1
            else:
                waiting.append(run)
                nothing_new = 0
            if nothing_new >= _SETTLED_IN_A_ROW and not whole:
                break
        self._offered.end_sweep(
            [*backlog.waiting_probe_scans(), *backlog.waiting_structured_runs(), *reversed(waiting)], whole
        )
        self._n_sweeps += 1
        self._swept_at = time.monotonic()

    def _sweep_without_stream(self) -> None:
        if not is_answering(self._catalog.uri):
            return
        try:
            self._sweep(whole=self._n_sweeps % _WHOLE_SWEEP_EVERY == 0)
        except CatalogError as error:
            log.warning("could not list what waits: %s", error)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
