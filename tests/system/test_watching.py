"""A deployment without a stack's folder: a worker process that is ended in good order, and one that is killed."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tiled_process import TiledProcess

from services.catalog.client import Catalog, merge_metadata
from services.catalog.workers import published_workers
from services.stack.embedded import free_port
from services.stack.processes import console_script

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledProcess]:
    """A Tiled server of its own."""
    server = TiledProcess(tmp_path_factory.mktemp("tiled"))
    yield server
    server.stop()


class WorkerProcess:
    """`subprobe worker` as a container runs it: settings and key by environment, JSON on stderr."""

    def __init__(self, tiled: TiledProcess, folder: Path, name: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.environment = os.environ | {
            "SUBPROBE_FOLDER": str(folder / name),
            "SUBPROBE_TILED__URI": tiled.uri,
            "SUBPROBE_TILED__API_KEY": tiled.api_key,
            "SUBPROBE_LOG__FORMAT": "json",
            "SUBPROBE_WORKER__NAME": name,
            "SUBPROBE_WORKER__ENHANCER": "bicubic",
            "SUBPROBE_WORKER__MONITOR_PORT": str(self.port),
            "COLUMNS": "200",
        }
        self.log = folder / f"{name}.log"
        with self.log.open("w") as file:
            command = [console_script("subprobe"), "worker"]
            self.process = subprocess.Popen(command, env=self.environment, cwd=folder, stdout=file, stderr=file)

    def until_ready(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)

    def status(self) -> "subprocess.CompletedProcess[str]":
        """`subprobe status` of somebody who has this address and key, and no folder."""
        environment = self.environment | {"SUBPROBE_FOLDER": str(self.folder / "none")}
        command = [console_script("subprobe"), "status"]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120)


StartWorker = Callable[[str], WorkerProcess]


@pytest.fixture
def start(tiled: TiledProcess, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers; what still runs at the end is killed."""
    started: list[WorkerProcess] = []

    def one(name: str) -> WorkerProcess:
        started.append(WorkerProcess(tiled, tmp_path, name))
        return started[-1]

    yield one
    for worker in started:
        worker.process.kill()
        worker.process.wait(30)


def _until_told(catalog: Catalog, name: str, *states: str) -> None:
    deadline = time.monotonic() + 60
    while {one.key: one.said["state"] for one in published_workers(catalog)}.get(name) not in states:
        assert time.monotonic() < deadline, published_workers(catalog)
        time.sleep(0.2)


def test_a_worker_that_is_ended_says_so_and_its_log_is_json_without_the_key(
    tiled: TiledProcess, start: StartWorker
) -> None:
    worker = start("worker-1")
    with tiled.connect() as catalog:
        worker.until_ready()
        _until_told(catalog, "worker-1", "idle")
        assert "subprobe_worker_info" in httpx.get(f"http://127.0.0.1:{worker.port}/metrics").text
        told = worker.status()
        assert told.returncode == 0, told.stdout
        assert "worker-1         idle, 0 done since" in told.stdout
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        _until_told(catalog, "worker-1", "stopped")
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert {line["process"] for line in lines} == {"worker-1"}
    assert tiled.api_key not in worker.log.read_text()


def test_a_worker_that_is_killed_is_down_after_a_minute_of_silence(tiled: TiledProcess, start: StartWorker) -> None:
    worker = start("worker-2")
    with tiled.connect() as catalog:
        _until_told(catalog, "worker-2", "idle")
        worker.process.kill()
        worker.process.wait(30)
        merge_metadata(catalog.processed["workers", "worker-2"], {"published_at": time.time() - 61})
        told = worker.status()
        assert told.returncode == 1
        assert "worker-2         is down since" in told.stdout
        assert "not well:" in told.stdout
