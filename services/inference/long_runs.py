"""Runs that keep one worker busy for many seconds: a probe to be found, maps to be made of patterns.

They are the one thing that a stop breaks off; a restart does them again.
"""

import logging
import threading
import time
from collections.abc import Callable

from services.catalog.backlog import Backlog
from services.catalog.claims import Claims, Refusal
from services.catalog.client import Catalog
from services.catalog.records import MalformedRunError
from services.catalog.recoveries import claim_recovery, complete_recovery, fail_recovery
from services.catalog.runs import FinishedRun
from services.catalog.single_pixel import claim_single_pixel, complete_single_pixel, fail_single_pixel
from services.catalog.structured_runs import structured_start
from services.inference.probe_recovery import recover_probe_of
from services.inference.processing import Outcome
from services.inference.status import StatusFile
from services.inference.structured_maps import map_structured_run
from services.monitoring.worker_metrics import WorkerMetrics
from services.settings import WorkerSettings

log = logging.getLogger(__name__)


class LongRuns:
    """Works on them for one worker.

    Args:
        catalog: to read from and write to.
        claims: of the worker.
        settings: of the worker.
        status: told how far a run is.
        stop: set it to break off what is at hand.
        metrics: told of maps that are written.
    """

    def __init__(
        self,
        catalog: Catalog,
        claims: Claims,
        settings: WorkerSettings,
        status: StatusFile,
        stop: threading.Event,
        metrics: WorkerMetrics,
    ) -> None:
        self._catalog = catalog
        self._claims = claims
        self._settings = settings
        self._status = status
        self._stop = stop
        self._metrics = metrics

    def work_on(self, run: FinishedRun) -> Outcome:
        """Take a run all the way; doing it again changes nothing.

        Raises:
            MalformedRunError: it never gives what it was taken for; the message says why.
            WornOutError: it was begun too often and never ended.
            CatalogError: the catalogue failed.
        """
        if Backlog(self._catalog).is_settled(run):
            return Outcome.SETTLED
        return self._recover(run) if run.is_probe_scan else self._map(run)

    def note_failure(self, run: FinishedRun, error: str) -> None:
        """Leave an error where a person who looks for the maps sees it; for a probe nobody does."""
        if run.is_structured:
            fail_single_pixel(self._catalog, run, structured_start(run), error)

    def _recover(self, run: FinishedRun) -> Outcome:
        hold = claim_recovery(self._catalog, run.run_uid, self._claims)
        if isinstance(hold, Refusal):
            return Outcome.ELSEWHERE
        try:
            key = recover_probe_of(self._catalog, run, self._settings.device, self._progress(run))
            complete_recovery(self._catalog, hold, key)
        except MalformedRunError as error:
            fail_recovery(self._catalog, hold, str(error))
            raise
        except InterruptedError as stopped:
            log.info("the probe of run %s is found after a restart: %s", run.run_uid, stopped)
            self._claims.give_back(hold)
            return Outcome.ELSEWHERE
        finally:
            self._claims.let_go(hold)
        return Outcome.RECOVERED

    def _map(self, run: FinishedRun) -> Outcome:
        start = structured_start(run)
        place = claim_single_pixel(self._catalog, run, start, self._claims)
        if isinstance(place, Refusal):
            return Outcome.SETTLED if place is Refusal.SETTLED else Outcome.ELSEWHERE
        try:
            about = map_structured_run(self._catalog, run, place, self._settings.device, self._progress(run))
            if not complete_single_pixel(self._catalog, place, about, self._claims):
                log.warning("run %s: another worker has taken its maps over", run.run_uid)
                return Outcome.ELSEWHERE
        except MalformedRunError as error:
            fail_single_pixel(self._catalog, run, start, str(error))
            raise
        except InterruptedError as stopped:
            log.info("the maps of run %s are made after a restart: %s", run.run_uid, stopped)
            self._claims.give_back(place.hold)
            return Outcome.ELSEWHERE
        finally:
            self._claims.let_go(place.hold)
        self._metrics.wrote(len(start.elements), about["seconds"], time.time() - run.stop_time)
        log.info("run %s: maps %s of %s by %s", run.run_uid, place.key, " ".join(start.elements), about["method"])
        return Outcome.MAPPED

    def _progress(self, run: FinishedRun) -> Callable[[str, float], None]:
        def progress(stage: str, fraction: float) -> None:
            if self._stop.is_set():
                raise InterruptedError(f"stopped at {stage}, {fraction:.0%}")
            self._status.tell(f"{stage} of run {run.run_uid[:8]}, {fraction:.0%}")

        return progress
