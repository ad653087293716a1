"""Finished projections, ptychography and structured-illumination runs as they come, none lost and none twice.

The stream only wakes us: Tiled's in-memory stream forgets, and a restarted server begins again. The catalogue is the
truth. So the feed connects first, then lists what waits, and lists again every so often and after every new
connection. Tiled's own `Subscription` is not used: it hangs for ever where the handshake fails, holds callbacks
weakly, and swallows their errors; its messages are few and plain.
"""

import logging
import math
import random
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import msgpack
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from models.run_schema import PROJECTION_SPEC, PTYCHOGRAPHY_SPEC
from models.structured_schema import STRUCTURED_SPEC
from services.catalog.backlog import Backlog
from services.catalog.client import Catalog, is_answering
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
_MOST_OFFERED = 1000
"""Of live runs and of the backlog each: memory stays small; the others are found when these are done."""
_AMONG = 8
"""Of the oldest of a backlog one is picked by chance where other workers pick too, so that they rarely meet."""
_SPECS = {PROJECTION_SPEC, PTYCHOGRAPHY_SPEC, STRUCTURED_SPEC}


class ProjectionFeed:
    """Hands out runs that wait to be processed, live ones before the backlog; of that, those of probes first, then
    those of structured illumination.

    A run handed out is not handed out again until `release` gives it back; after `settle` it comes again only where
    the catalogue takes back that it is done or parked. Use it as a context manager: a thread of its own listens and
    sweeps until the block is left.

    Args:
        catalog: to watch.
        sweep_s: the catalogue is listed that often for what the stream did not tell.
    """

    def __init__(self, catalog: Catalog, sweep_s: float) -> None:
        self._catalog = catalog
        self._sweep_s = sweep_s
        self._changed = threading.Condition()
        self._live: OrderedDict[str, FinishedRun] = OrderedDict()
        self._backlog: OrderedDict[str, FinishedRun] = OrderedDict()
        self._undone: dict[str, FinishedRun] = {}
        self._taken: set[str] = set()
        self._settled: set[str] = set()
        self._parked: set[str] = set()
        self._released: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="projection-feed", daemon=True)
        self._n_sweeps = 0
        self._swept_at = -math.inf

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; whoever waits in `next` gets None."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def n_waiting(self) -> int:
        """Projections offered and not yet handed out."""
        with self._changed:
            return len(self._live) + len(self._backlog)

    @property
    def queued(self) -> dict[str, int]:
        """The same, live ones and the backlog."""
        with self._changed:
            return {"live": len(self._live), "backlog": len(self._backlog)}

    @property
    def oldest_stop_time(self) -> float | None:
        """When the oldest run ended that nobody has dealt with, as far as this feed knows; those at hand count."""
        with self._changed:
            return min((run.stop_time for run in self._undone.values()), default=None)

    def next(self, timeout_s: float, among_others: bool = False) -> FinishedRun | None:
        """The next run, or None where none came in time or the feed was closed.

        Args:
            timeout_s: to wait at most.
            among_others: whether other workers take from the same backlog.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (self._live or self._backlog) and not self._closing.is_set():
                if not self._changed.wait(deadline - time.monotonic()):
                    return None
            return self._taken_from(self._live) or self._taken_from(self._backlog, among_others)

    def next_live(self) -> FinishedRun | None:
        """The next run that has just finished, if there is one now."""
        with self._changed:
            return self._taken_from(self._live)

    def next_of_backlog(self, among_others: bool = False) -> FinishedRun | None:
        """The next run of the backlog, if there is one now and nothing live."""
        with self._changed:
            return None if self._live else self._taken_from(self._backlog, among_others)

    def settle(self, run_uid: str) -> None:
        """This run is dealt with, and the catalogue says so."""
        with self._changed:
            self._taken.discard(run_uid)
            self._undone.pop(run_uid, None)
            self._settled.add(run_uid)

    def park(self, run_uid: str) -> None:
        """This run is parked in the catalogue: it comes again as soon as somebody takes it out there."""
        self._parked.add(run_uid)
        self.settle(run_uid)

    def release(self, run_uid: str) -> None:
        """This projection could not be dealt with now: a later sweep offers it again."""
        with self._changed:
            self._taken.discard(run_uid)
            self._released.add(run_uid)

    def _taken_from(self, queue: OrderedDict[str, FinishedRun], among_others: bool = False) -> FinishedRun | None:
        if self._closing.is_set() or not queue:
            return None
        first = list(islice(queue, _AMONG if among_others else 1))
        run_uid = random.choice(first)
        self._taken.add(run_uid)
        return queue.pop(run_uid)

    def _is_offered(self, run_uid: str) -> bool:
        with self._changed:
            return run_uid in self._taken or run_uid in self._live or run_uid in self._backlog

    def _offer(self, run: FinishedRun, live: bool) -> None:
        with self._changed:
            if run.run_uid in self._taken or run.run_uid in self._live or (run.run_uid in self._backlog and not live):
                return
            self._backlog.pop(run.run_uid, None)
            queue = self._live if live else self._backlog
            if len(queue) >= _MOST_OFFERED:
                return
            queue[run.run_uid] = self._undone[run.run_uid] = run
            self._changed.notify()

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
        if run.run_uid in self._settled:
            return
        if run.is_success:
            self._offer(run, live=True)
        else:
            with log_context(run_uid=run.run_uid, series_uid=run.series_uid):
                log.warning("run %s of series %s ended with %r: skipped", run.run_uid, run.series_uid, run.exit_status)

    def _sweep(self, whole: bool) -> None:
        """Offer what waits, the oldest first.

        A sweep that is not whole trusts what is known to be settled, and ends where many of the newest runs in a row
        held nothing new.
        """
        self._released.clear()
        backlog = Backlog(self._catalog)
        retried = self._parked - backlog.parked.keys()
        self._settled -= retried
        self._parked = (self._parked - retried) | backlog.parked.keys()
        whole = whole or bool(retried)
        waiting: deque[FinishedRun] = deque(maxlen=_MOST_OFFERED)  # the oldest
        nothing_new = 0
        for run in finished_projections(self._catalog):
            if self._is_offered(run.run_uid):
                nothing_new += 1
            elif (run.run_uid in self._settled and not whole) or backlog.is_settled(run):
                self.settle(run.run_uid)
                nothing_new += 1
            else:
                waiting.append(run)
                nothing_new = 0
            if nothing_new >= _SETTLED_IN_A_ROW and not whole:
                break
        offered = [*backlog.waiting_probe_scans(), *backlog.waiting_structured_runs(), *reversed(waiting)]
        for run in offered:
            if run.run_uid not in self._released:  # else what this sweep knows of it may be old
                self._offer(run, live=False)
        self._forget_others({run.run_uid for run in offered}, whole)
        self._n_sweeps += 1
        self._swept_at = time.monotonic()

    def _forget_others(self, listed: set[str], whole: bool) -> None:
        """What this sweep would have listed and did not is dealt with elsewhere, or deleted."""
        with self._changed:
            self._undone = {
                run_uid: run
                for run_uid, run in self._undone.items()
                if run_uid in listed or self._is_offered(run_uid) or not (whole or run.takes_long)
            }

    def _sweep_without_stream(self) -> None:
        if not is_answering(self._catalog.uri):
            return
        try:
            self._sweep(whole=self._n_sweeps % _WHOLE_SWEEP_EVERY == 0)
        except CatalogError as error:
            log.warning("could not list what waits: %s", error)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
