"""A worker in a thread of this process, before a real Tiled."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.superres.enhancer import Enhancer
from models.superres.enhancers import make_enhancer
from services.catalog.client import Catalog
from services.inference.status import StatusFile
from services.inference.worker import Worker
from services.settings import WorkerSettings

_PATIENCE_S = 60.0


class RunningWorker:
    """A worker that runs in a thread."""

    def __init__(self, status: StatusFile) -> None:
        self.status_file = status

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something to come true."""
        deadline = time.monotonic() + _PATIENCE_S
        while not reached():
            assert time.monotonic() < deadline, f"not reached; the worker says {self.status_file.status}"
            time.sleep(0.1)

    def until_done(self, n: int) -> None:
        """Wait until it completed that many projections."""
        self.until(lambda: self.status_file.status.n_done >= n)


@contextmanager
def running_worker(
    catalog: Catalog, status_folder: Path, settings: WorkerSettings, enhancer: Enhancer | None = None
) -> Iterator[RunningWorker]:
    """Runs a worker while the context is open; its enhancer is that of its settings unless another is given."""
    stop, status = threading.Event(), StatusFile(status_folder, settings.name)
    worker = Worker(catalog, enhancer or make_enhancer(settings.enhancer), settings, status, stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield RunningWorker(status)
    finally:
        stop.set()
        thread.join()
