"""Workers in processes of their own, which can be killed."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.process import BaseProcess

import pytest
from tiled_process import TiledProcess

from services.catalog.client import Catalog
from services.catalog.products import find_series
from services.catalog.records import CatalogError
from services.inference import worker
from services.settings import Settings

# Forks a process that has the imports behind it: a fresh interpreter would take five seconds at every restart.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["services.inference.worker"])


@pytest.fixture
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledProcess]:
    """A Tiled server that the test may restart."""
    server = TiledProcess(tmp_path_factory.mktemp("stack"))
    yield server
    server.stop()


@pytest.fixture
def worker_process() -> Callable[[Settings], AbstractContextManager[BaseProcess]]:
    """Runs `services.inference.worker.main` in a process while the context is open."""

    @contextmanager
    def running(settings: Settings) -> Iterator[BaseProcess]:
        process = _processes.Process(target=worker.main, args=(settings,))
        process.start()
        try:
            yield process
        finally:
            process.terminate()
            process.join(30)
            process.close()

    return running


@pytest.fixture
def wait_until_done() -> Callable[[Catalog, str, int], None]:
    """Waits until a series has that many angles done; a server that is away meanwhile does not matter."""

    def wait(catalog: Catalog, series_uid: str, n_angles: int) -> None:
        deadline = time.monotonic() + 180
        done: tuple[int, ...] = ()
        while len(done) < n_angles:
            assert time.monotonic() < deadline, f"only {done} of {n_angles} angles were done"
            time.sleep(0.2)
            try:
                done = find_series(catalog, series_uid).done_angles
            except CatalogError:
                continue

    return wait
