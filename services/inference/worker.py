"""The worker's loop: a finished projection is read, fitted, enhanced, written and completed, again and again.

A finished ptychography run becomes the probe that later projections are enhanced with; of a structured-illumination run
maps are made.

Whatever kills it, nothing is lost: the catalogue alone says what is done, so a worker that starts again goes on where
it was.
"""

import gc
import logging
import signal
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from types import FrameType

import torch

from models.superres.enhancer import Enhancer
from models.superres.enhancers import make_enhancer
from services.catalog.claims import Claims
from services.catalog.client import Catalog, connect, is_answering
from services.catalog.offered import OfferedRuns
from services.catalog.parking import park_run
from services.catalog.records import CatalogError, CatalogUnreachableError, MalformedRunError, WornOutError
from services.catalog.runs import FinishedRun
from services.catalog.subscription import ProjectionFeed
from services.inference.long_runs import LongRuns
from services.inference.monitored import monitored
from services.inference.presence import Presence
from services.inference.probe_choice import WaitingError
from services.inference.processing import Outcome, Prepared, Processor
from services.inference.status import StatusFile
from services.logs import LoggedPool, log_context
from services.monitoring.worker_metrics import WorkerMetrics
from services.settings import Settings, WorkerSettings

log = logging.getLogger(__name__)

_TRIES = 3
_POLL_S = 0.5
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0)


def main(settings: Settings) -> None:
    """Run a worker until SIGTERM or Ctrl-C; the projection at hand is finished first.

    Raises:
        CatalogError: the server refuses the key.
    """
    stop = threading.Event()
    _stop_on_signals(stop)
    torch.set_num_threads(settings.worker.threads)
    status, metrics = StatusFile(settings.folder / "status", settings.worker.name), WorkerMetrics()
    try:
        with monitored(settings, status, metrics):
            enhancer = make_enhancer(settings.worker.enhancer, settings.worker.device)
            status.update(enhancer=f"{enhancer.name} {enhancer.digest}")
            catalog = _connect_patiently(settings, stop, status)
            # Else what we have imported keeps the collector from looking: arrays in cycles would pile up for hours.
            gc.collect()
            gc.freeze()
            if catalog is not None:
                with catalog, Presence(catalog, status):
                    Worker(catalog, enhancer, settings.worker, status, stop, metrics).run()
    finally:
        status.update(state="stopped")


@dataclass(frozen=True)
class _Ahead:
    """A projection of a backlog that was made ready while another was computed."""

    run: FinishedRun
    found: Prepared | Exception
    """Ours and read, or why it could not be."""


class Worker:
    """Takes projections from the feed and decides what becomes of each.

    Args:
        catalog: to read from and write to.
        enhancer: that turns coarse maps into fine ones.
        settings: of the worker.
        status: file kept up to date for people.
        stop: set it to end `run` after the projection at hand.
        metrics: told what happens; of nobody's interest unless given.
    """

    def __init__(
        self,
        catalog: Catalog,
        enhancer: Enhancer,
        settings: WorkerSettings,
        status: StatusFile,
        stop: threading.Event,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._catalog = catalog
        self._enhancer = enhancer
        self._settings = settings
        self._status = status
        self._stop = stop
        self._metrics = metrics or WorkerMetrics()
        self._metrics.describe(settings.name, enhancer.name, enhancer.digest, settings.device)
        self._claims = Claims(settings.name, settings.lease_s)
        self._processor = Processor(catalog, enhancer, settings.scale, self._claims, self._metrics)
        self._long_runs = LongRuns(catalog, self._claims, settings, status, stop, self._metrics)
        self._tries: Counter[str] = Counter()
        self._reader = LoggedPool(1, "reading-ahead")
        self._ahead: Future[_Ahead | None] | None = None

    def run(self) -> None:
        """Process until told to stop."""
        log.info(
            "worker %s: enhancing by %d with %s (%s) on %s",
            self._settings.name,
            self._settings.scale,
            self._enhancer.name,
            self._enhancer.digest,
            self._settings.device,
        )
        with ProjectionFeed(self._catalog, self._settings.sweep_s) as offered:
            self._metrics.watch(offered)
            self._status.update(state="idle", last_error="")  # Tiled is there now, whatever was before
            while not self._stop.is_set():
                run, ahead = self._next(offered)
                if run is None:
                    self._status.beat()
                    continue
                self._status.update(state="processing", n_waiting=offered.n_waiting, last_run_uid=run.run_uid)
                with log_context(run_uid=run.run_uid, series_uid=run.series_uid):
                    self._handle(offered, run, ahead)
                self._status.update(state="idle", doing="", n_waiting=offered.n_waiting)
            self._give_back_what_was_read_ahead()
        self._claims.close()
        log.info("worker %s: stopped", self._settings.name)

    def _next(self, offered: OfferedRuns) -> tuple[FinishedRun | None, _Ahead | None]:
        """What has just finished, then what was read ahead, then the backlog."""
        if self._ahead is not None:
            live = offered.next_live()
            if live is not None:
                return live, None
            ahead, self._ahead = self._ahead.result(), None
            if ahead is not None:
                return ahead.run, ahead
        return offered.next(_POLL_S, self._processor.is_among_others), None

    def _read_ahead(self, offered: OfferedRuns) -> None:
        """While this one is computed the next of a backlog is claimed and read."""
        if self._ahead is None and offered.queued["backlog"]:
            self._ahead = self._reader.submit(self._find_ahead, offered)

    def _find_ahead(self, offered: OfferedRuns) -> _Ahead | None:
        """The first of the backlog that is for us: of what was listed a while ago others may have done half."""
        while not self._stop.is_set():
            run = offered.next_of_backlog(self._processor.is_among_others)
            if run is None:
                return None
            if run.takes_long:
                offered.release(run.run_uid)
                return None
            with log_context(run_uid=run.run_uid, series_uid=run.series_uid):
                try:
                    found = self._processor.prepare(run)
                except Exception as error:
                    return _Ahead(run, error)
            if isinstance(found, Prepared):
                return _Ahead(run, found)
            self._ended(offered, run, found)
        return None

    def _give_back_what_was_read_ahead(self) -> None:
        self._reader.shutdown()
        ahead = None if self._ahead is None else self._ahead.result()
        if ahead is None or not isinstance(ahead.found, Prepared):
            return
        try:
            self._processor.give_back(ahead.found)
        except CatalogError as error:
            log.warning("run %s is taken over after a lease: %s", ahead.run.run_uid, error)

    def _handle(self, offered: OfferedRuns, run: FinishedRun, ahead: _Ahead | None = None) -> None:
        """Process one run; whatever happens to it, the worker lives."""
        try:
            self._process_or_park(offered, run, ahead)
        except CatalogUnreachableError as error:
            offered.release(run.run_uid)
            log.warning("run %s: %s; it is done when Tiled is back", run.run_uid, error)
            self._status.update(state="waiting for Tiled", last_error=str(error))
            _wait_until_answering(self._catalog.uri, self._stop, self._status)
            self._claims.forget_others()
        except Exception as error:
            self._metrics.failed()
            log.exception("run %s of series %s: unexpected error", run.run_uid, run.series_uid)
            self._status.update(last_error=f"run {run.run_uid}: {error}")
            self._try_again_or_park(offered, run, error)

    def _process_or_park(self, offered: OfferedRuns, run: FinishedRun, ahead: _Ahead | None) -> None:
        try:
            outcome = self._long_runs.work_on(run) if run.takes_long else self._process(offered, run, ahead)
        except WaitingError as waiting:
            self._metrics.waits(run.run_uid)
            self._report_waiting(run, str(waiting))
            offered.release(run.run_uid)
        except (MalformedRunError, WornOutError) as error:
            park_run(self._catalog, run.run_uid, str(error))
            self._metrics.ended(run.run_uid, "rejected")
            log.warning("run %s of series %s is parked: %s", run.run_uid, run.series_uid, error)
            self._status.update(n_rejected=self._status.status.n_rejected + 1, last_error=str(error))
            offered.park(run.run_uid)
        else:
            self._ended(offered, run, outcome)

    def _ended(self, offered: OfferedRuns, run: FinishedRun, outcome: Outcome) -> None:
        self._metrics.ended(run.run_uid, outcome.value)
        if outcome is Outcome.ELSEWHERE:
            offered.release(run.run_uid)
            return
        offered.settle(run.run_uid)
        if outcome is Outcome.RECOVERED:
            self._status.update(n_probes=self._status.status.n_probes + 1)
        if outcome is Outcome.MAPPED:
            self._status.update(n_mapped=self._status.status.n_mapped + 1)
        if outcome is Outcome.COMPLETED:
            self._status.update(n_done=self._status.status.n_done + 1, waiting_for="")

    def _process(self, offered: OfferedRuns, run: FinishedRun, ahead: _Ahead | None) -> Outcome:
        prepared = self._processor.prepare(run) if ahead is None else self._still_ours(ahead)
        if isinstance(prepared, Outcome):
            return prepared
        self._read_ahead(offered)
        return self._processor.finish(prepared)

    def _still_ours(self, ahead: _Ahead) -> Prepared | Outcome:
        if isinstance(ahead.found, Exception):
            raise ahead.found
        return self._processor.still_ours(ahead.found)

    def _report_waiting(self, run: FinishedRun, reason: str) -> None:
        if self._status.status.waiting_for != reason:
            log.warning("run %s of series %s: %s", run.run_uid, run.series_uid, reason)
            self._status.update(waiting_for=reason)

    def _try_again_or_park(self, offered: OfferedRuns, run: FinishedRun, error: Exception) -> None:
        self._tries[run.run_uid] += 1
        if self._tries[run.run_uid] < _TRIES:
            self._processor.forget(run.series_uid)
            offered.release(run.run_uid)
            return
        reason = f"given up after {_TRIES} tries: {type(error).__name__}: {error}"
        log.error("run %s of series %s is parked, %s", run.run_uid, run.series_uid, reason)
        self._status.update(n_failed=self._status.status.n_failed + 1)
        try:
            keeper = self._long_runs if run.takes_long else self._processor
            keeper.note_failure(run, f"{type(error).__name__}: {error}")
            park_run(self._catalog, run.run_uid, reason)
        except CatalogError as unnoted:
            log.warning("run %s: it could not be parked, and is tried again: %s", run.run_uid, unnoted)
            offered.release(run.run_uid)
            return
        self._metrics.ended(run.run_uid, "parked")
        del self._tries[run.run_uid]
        offered.park(run.run_uid)


def _connect_patiently(settings: Settings, stop: threading.Event, status: StatusFile) -> Catalog | None:
    """The catalogue, however long its server takes to come up; None where we were stopped before."""
    uri = str(settings.tiled.uri)
    while not stop.is_set():
        try:
            return connect(uri, settings.tiled.key)
        except CatalogUnreachableError as error:
            log.warning("%s; waiting for it", error)
            status.update(state="waiting for Tiled", last_error=str(error))
            _wait_until_answering(uri, stop, status)
    return None


def _wait_until_answering(uri: str, stop: threading.Event, status: StatusFile) -> None:
    """At least a moment: it may answer, and not do what was asked."""
    tries = 0
    while not stop.wait(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]) and not is_answering(uri):
        status.beat()
        tries += 1


def _stop_on_signals(stop: threading.Event) -> None:
    """At the first signal finish the projection at hand; at a second one end at once, which loses that work alone."""

    def on_signal(signum: int, _frame: FrameType | None) -> None:
        log.info("%s: finishing the projection at hand", signal.Signals(signum).name)
        stop.set()
        signal.signal(signum, signal.SIG_DFL)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, on_signal)
