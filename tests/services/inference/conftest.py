"""A worker in a thread, before a real Tiled."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from models.physics.probe import gaussian_probe
from models.superres.enhancer import Enhancer
from models.superres.enhancers import make_enhancer
from services.catalog.client import Catalog
from services.catalog.probes import import_probe
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


StartWorker = Callable[..., AbstractContextManager[RunningWorker]]


@pytest.fixture
def start_worker(catalog: Catalog, tmp_path: Path) -> StartWorker:
    """Runs a worker on the catalogue while the context is open; its enhancer is bicubic unless another is given."""

    @contextmanager
    def running(enhancer: Enhancer | None = None, name: str = "worker-1") -> Iterator[RunningWorker]:
        stop = threading.Event()
        settings = WorkerSettings(name=name, enhancer="bicubic", scale=2, sweep_s=2.0)
        status = StatusFile(tmp_path, name)
        worker = Worker(catalog, enhancer or make_enhancer("bicubic"), settings, status, stop)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield RunningWorker(status)
        finally:
            stop.set()
            thread.join()

    return running


@pytest.fixture
def probe(catalog: Catalog) -> str:
    """Key of a probe in the catalogue, for 10 keV."""
    import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "test-probe")
    return "test-probe"
