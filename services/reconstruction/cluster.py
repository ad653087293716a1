"""A Dask cluster that does the tasks of a job: Tiled lies between, so only what is small goes over its wires.

Workers reach Tiled by their own settings, ``SUBPROBE_TILED__URI`` and ``SUBPROBE_TILED__API_KEY`` in their environment:
no key is in a task, where logs and the dashboard would show it. A task of a worker that died is done again by another.
"""

import logging
import pickle
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from models.tomo.interruption import Cancelled, ReconstructionCancelledError
from services.catalog.client import Catalog
from services.catalog.records import CatalogError
from services.catalog.volume_writing import VolumePlace, stop_writing
from services.errors import SubprobeError
from services.offline.memory import in_words
from services.reconstruction.cluster_entry import run_pickled, software
from services.reconstruction.compute import Done, Task, Told

_CONNECT_S = 5.0
_POLL_S = 0.25
_LOOK_S = 2.0
_LOST_S = 60.0
"""Without any worker, or without the scheduler, for so long: nobody restarts it."""
_STOP_S = 15.0
"""For tasks under way to see that they are not wanted: they look every second."""
_log = logging.getLogger(__name__)


class ClusterError(SubprobeError):
    """The cluster cannot do a job; the message says why and what to do."""


class ClusterAwayError(ClusterError):
    """Scheduler or workers do not answer; trying again later may help."""


@dataclass(frozen=True, eq=False)
class DaskCluster:
    """Does tasks on the workers of a scheduler.

    Attributes:
        client: connected to it.
        catalog: where tasks are told to end.
        place: of the volume.
        cancelled: asked often; True stops.
    """

    client: Client
    catalog: Catalog
    place: VolumePlace
    cancelled: Cancelled

    def run(self, tasks: Sequence[Task[Done]], take: Callable[[int, Done], None], told: Told) -> None:
        """See `services.reconstruction.compute.Compute`.

        Raises:
            ReconstructionCancelledError: the job is to stop.
            ClusterAwayError: scheduler or workers are gone.
            ClusterError: a task killed too many of them.
        """
        pending = {self._submit(index, task): index for index, task in enumerate(tasks)}
        finished, watch = _Finished(pending), _Watch(self.client)
        try:
            while pending:
                if self.cancelled():
                    raise ReconstructionCancelledError("stopped, as asked")
                watch.look()
                for future in finished.within(_POLL_S):
                    index = pending.pop(future)
                    take(index, _result(future, tasks[index].doing))
                    future.release()
                    told(1 - len(pending) / len(tasks), tasks[index].doing)
        except BaseException:
            self._stop(pending, finished)
            raise

    def _submit(self, index: int, task: Task[Any]) -> Future:
        name = f"{task.doing.replace(' ', '-')}-{self.place.job_id[:8]}-{index}-{uuid4().hex}"
        # Earlier ones first: the slabs of one element before those of the next.
        return self.client.submit(run_pickled, pickle.dumps((self.place, task)), key=name, pure=False, priority=-index)

    def _stop(self, pending: dict[Future, int], finished: "_Finished") -> None:
        """Let tasks under way see that they are not wanted, and forget those that have not begun."""
        with suppress(CatalogError):
            stop_writing(self.catalog, self.place)
        give_up = time.monotonic() + _STOP_S
        while pending and self.client.status == "running" and time.monotonic() < give_up:
            for future in finished.within(_POLL_S):
                pending.pop(future, None)
        with suppress(OSError, TimeoutError, CommClosedError):
            self.client.cancel(list(pending), force=True)


class _Finished:
    """Futures as they are finished, well or not.

    Dask's own ``wait`` finds its client by a setting of the whole process, and so would what reads from Tiled.
    """

    def __init__(self, futures: Iterable[Future]) -> None:
        self._queue: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(self._queue.put)

    def within(self, timeout_s: float) -> list[Future]:
        """All that there are, after a while where there are none."""
        found = []
        with suppress(queue.Empty):
            found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        return found


@contextmanager
def open_cluster(
    address: str, catalog: Catalog, place: VolumePlace, slab_bytes: int, cancelled: Cancelled
) -> Iterator[DaskCluster]:
    """Connect to a scheduler and make sure that its workers can do the tasks.

    Args:
        address: of the scheduler, ``tcp://host:port``.
        catalog: of the job.
        place: of its volume.
        slab_bytes: what a task takes at most.
        cancelled: asked often; True stops.

    Raises:
        ClusterAwayError: nobody answers, or there are no workers.
        ClusterError: they have other software or too little memory.
    """
    try:
        # Not the default client: Tiled's own client would send its reading to the cluster, key and all.
        client = Client(address, timeout=_CONNECT_S, set_as_default=False, name="subprobe")
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterAwayError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one (`dask scheduler`), or set "
            "SUBPROBE_RECONSTRUCTION__COMPUTE to its address, or to in-process"
        ) from error
    with client:
        _check_software(client, address)
        _check_memory(_workers(client), slab_bytes)
        yield DaskCluster(client, catalog, place, cancelled)


class _Watch:
    """Notices that scheduler or workers are gone for good."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._looked = self._well = time.monotonic()

    def look(self) -> None:
        """Look now and then.

        Raises:
            ClusterAwayError: they are gone.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        what = "scheduler"
        if self._client.status == "running":
            with suppress(OSError, TimeoutError, CommClosedError):
                if _workers(self._client):
                    self._well = now
                what = "worker"
        if self._client.status == "closed" or now - self._well > _LOST_S:
            raise ClusterAwayError(f"there is no Dask {what} any more: start it again")


def _result(future: Future, doing: str) -> Any:
    try:
        return future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"{doing} killed one worker after another: give them more memory, or fewer threads each"
        ) from error
    except FutureCancelledError as error:
        raise ClusterAwayError(f"the Dask scheduler lost its tasks while {doing}: was it restarted?") from error


def _workers(client: Client) -> Mapping[str, Mapping[str, Any]]:
    workers: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def _check_software(client: Client, address: str) -> None:
    start = f"start it in the virtual environment of this service, `dask scheduler` and `dask worker {address}`"
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        raise ClusterAwayError(f"the Dask scheduler at {address} has no workers: {start}") from None
    try:
        found = {"scheduler": client.run_on_scheduler(software), **client.run(software, on_error="return")}
    except (OSError, CommClosedError) as error:
        raise ClusterAwayError(f"the Dask cluster at {address} went away ({type(error).__name__}): {start}") from error
    except Exception as error:  # whatever an environment of others comes up with
        raise ClusterError(
            f"the Dask cluster cannot run subprobe ({type(error).__name__}: {error}): {start}"
        ) from error
    ours = software()
    for name, theirs in found.items():
        if isinstance(theirs, BaseException):
            raise ClusterError(f"the Dask worker {name} cannot run subprobe ({theirs}): {start}")
        if wrong := [
            f"{what} {theirs[what]} where {ours[what]} is needed" for what in ours if theirs[what] != ours[what]
        ]:
            raise ClusterError(f"{name} of the Dask cluster has {', '.join(wrong)}: {start}")


def _check_memory(workers: Mapping[str, Mapping[str, Any]], slab_bytes: int) -> None:
    for address, worker in workers.items():
        limit, n_threads = int(worker.get("memory_limit") or 0), int(worker["nthreads"])
        if limit and n_threads * slab_bytes > limit:
            raise ClusterError(
                f"a slab takes about {in_words(slab_bytes)} of memory, so the {n_threads} threads of the Dask worker "
                f"{address} need {in_words(n_threads * slab_bytes)} and it has {in_words(limit)}: start it with fewer "
                "--nthreads or a higher --memory-limit"
            )
