"""The thread that does the jobs: claim, read, reconstruct, write, and never leave one running for ever."""

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import torch

from models.tomo.interruption import ReconstructionCancelledError
from services.catalog.client import Catalog
from services.catalog.records import CatalogError, CatalogUnreachableError
from services.catalog.volume_writing import delete_unfinished_volume
from services.errors import SubprobeError
from services.logs import log_context
from services.monitoring.service_metrics import JobEnd, ServiceMetrics
from services.reconstruction.cluster import ClusterAwayError
from services.reconstruction.job_database import JobTableUnreachableError
from services.reconstruction.jobs import Job, JobStore
from services.reconstruction.schemas import ReconstructionRequest
from services.reconstruction.work import Means, reconstruct

_IDLE_S = 1.0  # jobs of other replicas that died are looked for this often; own new jobs wake the thread at once
_TELL_EVERY_S = 0.2
_TILED_PAUSE_S = 10.0
_LONGEST_WAIT = timedelta(days=1)
_CLUSTER_PAUSE_S = 10.0
_CLUSTER_TRIES = 30  # a few minutes: who restarts a cluster does it at once, and a wrong address should be told
_log = logging.getLogger(__name__)


class Runner:
    """One worker thread and the one that renews its lease.

    Args:
        store: where the jobs are.
        catalog: gives the connection to Tiled, or raises CatalogUnreachableError.
        threads: CPU threads of the numerical work.
        means: of each job.
        metrics: told how jobs end; of nobody's interest unless given.
    """

    def __init__(
        self,
        store: JobStore,
        catalog: Callable[[], Catalog],
        threads: int,
        means: Means,
        metrics: ServiceMetrics | None = None,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._store = store
        self._catalog = catalog
        self._threads = threads
        self._means = means
        self._cluster_tries: Counter[str] = Counter()
        self._metrics = metrics or ServiceMetrics()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reconstruction", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether jobs are being done."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def wake(self) -> None:
        """Look for a job now."""
        self._wake.set()

    def stop(self) -> None:
        """Give the running job back to the queue and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        torch.set_num_threads(self._threads)
        while not self._stopping.is_set():
            try:
                job = self._store.claim(self.name)
                if job is not None:
                    with log_context(job_id=job.id, series=job.series_key):
                        self._do(job)
                    continue
            except JobTableUnreachableError as error:
                _log.warning("no job is begun: %s", error)
            except Exception:
                _log.exception("the job table failed; trying again")
            self._wake.wait(_IDLE_S)
            self._wake.clear()

    def _do(self, job: Job) -> None:
        _log.info("reconstruction %s of %s: attempt %d", job.id, job.series_key, job.attempts)
        started = time.monotonic()
        end = self._ended(job)
        seconds = time.monotonic() - started
        self._metrics.job_ended(end, seconds)
        if end == "succeeded":
            _log.info("reconstruction %s: done in %.1f s", job.id, seconds, extra={"seconds": round(seconds, 3)})

    def _ended(self, job: Job) -> JobEnd:
        """Do a job; how it ended, or that somebody will go on with it."""
        try:
            with self._lease(job) as cancelled:
                request = ReconstructionRequest.model_validate(job.request)
                report = self._reporter(job, cancelled)
                result = reconstruct(self._catalog(), job.id, request, report, cancelled, self._means)
            self._succeeded(job, result.model_dump(mode="json"))
            return "succeeded"
        except ReconstructionCancelledError:
            return self._stopped(job)
        except CatalogUnreachableError as error:
            return self._wait_for_tiled(job, error)
        except ClusterAwayError as error:
            return self._wait_for_cluster(job, error)
        except JobTableUnreachableError as error:
            _log.warning("reconstruction %s: %s; begun again when its lease has ended", job.id, error)
            return "given back"
        except (ValueError, SubprobeError) as error:
            _log.warning("reconstruction %s failed: %s", job.id, error)
            return self._failed(job, str(error))
        except Exception as error:
            _log.exception("reconstruction %s failed", job.id)
            return self._failed(job, f"a defect ({type(error).__name__}): the service's log tells more of job {job.id}")

    def _succeeded(self, job: Job, result: dict[str, Any]) -> None:
        """The volume is complete: worth waiting for the job table, which an outage of its database makes us do."""
        while True:
            try:
                return self._store.succeed(job, result)
            except JobTableUnreachableError as error:
                if self._stopping.wait(_IDLE_S):
                    raise
                _log.warning("reconstruction %s is done: %s", job.id, error)

    def _failed(self, job: Job, error: str) -> JobEnd:
        if self._store.fail(job, error):
            self._remove_what_is_unfinished(job)
        return "failed"

    def _stopped(self, job: Job) -> JobEnd:
        if self._store.end_cancelled(job):
            self._remove_what_is_unfinished(job)
            return "cancelled"
        if self._stopping.is_set():
            self._store.give_back(job, "waiting for the service to start again")
        else:
            _log.warning("reconstruction %s: the lease was lost, another process has the job now", job.id)
        return "given back"

    def _remove_what_is_unfinished(self, job: Job) -> None:
        try:
            delete_unfinished_volume(self._catalog(), job.series_key, job.id)
        except CatalogError as error:
            _log.warning("the unfinished volume of %s stays: %s", job.id, error)

    def _wait_for_tiled(self, job: Job, error: CatalogUnreachableError) -> JobEnd:
        _log.warning("reconstruction %s: %s", job.id, error)
        if datetime.now(UTC) - job.created_at > _LONGEST_WAIT:
            self._store.fail(job, f"given up after {_LONGEST_WAIT.days} day: {error}")
            return "failed"
        self._store.give_back(job, f"waiting for Tiled: {error}", _TILED_PAUSE_S)
        return "given back"

    def _wait_for_cluster(self, job: Job, error: ClusterAwayError) -> JobEnd:
        _log.warning("reconstruction %s: %s", job.id, error)
        self._cluster_tries[job.id] += 1
        if self._cluster_tries[job.id] < _CLUSTER_TRIES:
            self._store.give_back(job, f"waiting for the Dask cluster: {error}", _CLUSTER_PAUSE_S)
            return "given back"
        del self._cluster_tries[job.id]
        return self._failed(job, f"given up after {_CLUSTER_TRIES} tries: {error}")

    def _reporter(self, job: Job, cancelled: Callable[[], bool]) -> Callable[[float, str], None]:
        told_at = 0.0
        told: tuple[float, str] = (0.0, "")

        def report(progress: float, doing: str) -> None:
            nonlocal told_at, told
            if cancelled():
                raise ReconstructionCancelledError("stopped, as asked")
            now = time.monotonic()
            if doing != told[1] or now - told_at > _TELL_EVERY_S:
                with suppress(JobTableUnreachableError):  # the work goes on without an audience
                    self._store.report(job, progress, doing)
                told_at, told = now, (progress, doing)

        return report

    @contextmanager
    def _lease(self, job: Job) -> Iterator[Callable[[], bool]]:
        """Renew the lease of a job; yields what tells whether to stop it."""
        over, lost = threading.Event(), threading.Event()

        def renew() -> None:
            while not over.wait(self._store.lease_s / 10):
                try:
                    if not self._store.renew(job):
                        lost.set()
                except JobTableUnreachableError as error:
                    _log.warning("the lease of %s was not renewed: %s", job.id, error)
                except Exception:
                    _log.exception("the lease of %s was not renewed", job.id)

        thread = threading.Thread(target=copy_context().run, args=(renew,), name=f"lease-{job.id}", daemon=True)
        thread.start()
        try:
            yield lambda: lost.is_set() or self._stopping.is_set()
        finally:
            over.set()
            thread.join()
