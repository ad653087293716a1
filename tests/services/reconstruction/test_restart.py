"""The service may die or be stopped at any moment: its jobs go on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest

from services.reconstruction.app import main
from services.reconstruction.jobs import JobStore
from services.settings import Settings

Wait = Callable[..., dict[str, Any]]

# What `subprobe` would run, with a slow algorithm and a short lease.
PROCESS = """
import sys, time, uvicorn
from models.tomo.algorithms import ALGORITHMS, Fbp
from services.reconstruction.app import create_app
from services.settings import Settings
class Patient(Fbp):
    def reconstruct(self, *data, seconds: float = 60.0, progress=None, cancelled=None, account=None, whole=None):
        time.sleep(seconds)
        return super().reconstruct(*data)
ALGORITHMS["patient"] = Patient()
app = create_app(Settings.model_validate_json(sys.argv[1]), lease_s=1.0)
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def test_a_job_of_a_killed_service_is_done_after_the_restart(
    settings: Settings,
    series_key: str,
    start_service: Callable[[Settings], AbstractContextManager[str]],
    wait_for: Wait,
    patient_algorithm: str,
    free_port: int,
) -> None:
    wanted = {"algorithm": patient_algorithm, "parameters": {"seconds": 1.0}, "fsc": False}
    request = {"series": series_key, "elements": ["Zn"], **wanted}
    with service_process(settings, free_port) as process, client(f"http://127.0.0.1:{free_port}") as api:
        running = api.post("/reconstructions", json=request).json()
        waiting = api.post("/reconstructions", json=request).json()
        wait_for(api, running, "running")
        process.kill()
    with start_service(settings) as address, client(address) as api:
        for job in (running, waiting):
            done = wait_for(api, job, "succeeded", "failed")
            assert done["state"] == "succeeded", done["error"]
        assert api.get(f"/reconstructions/{running['id']}").json()["attempts"] == 2


def test_a_stopped_service_ends_its_streams_and_gives_its_job_back(
    settings: Settings, series_key: str, patient_algorithm: str, free_port: int
) -> None:
    chosen = settings.reconstruction.model_copy(update={"port": free_port})
    told: list[str] = []
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    caller = threading.Thread(target=follow_then_stop, args=(free_port, series_key, patient_algorithm, told))
    caller.start()
    began = time.monotonic()
    try:
        main(settings.model_copy(update={"reconstruction": chosen}))
    finally:
        signal.signal(signal.SIGTERM, before)
    caller.join()
    assert time.monotonic() - began < 20
    assert signals == [signal.SIGTERM]
    assert "event: running" in told
    store = JobStore(settings.reconstruction.database_uri)
    (job,), _ = store.page({series_key})
    store.close()
    assert (job.state, job.attempts, job.worker) == ("queued", 0, None)


def follow_then_stop(port: int, series_key: str, algorithm: str, told: list[str]) -> None:
    with client(f"http://127.0.0.1:{port}") as api:
        job = api.post("/reconstructions", json={"series": series_key, "algorithm": algorithm}).json()
        with api.stream("GET", f"/reconstructions/{job['id']}/events") as stream:
            for line in stream.iter_lines():
                told.append(line)
                if told.count("event: running") == 1 and line == "event: running":
                    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def service_process(settings: Settings, port: int) -> Iterator[subprocess.Popen[bytes]]:
    reconstruction = settings.reconstruction.model_dump(mode="json")
    tiled = {"uri": str(settings.tiled.uri), "api_key": settings.tiled.api_key.get_secret_value()}
    arguments = [json.dumps({"reconstruction": reconstruction, "tiled": tiled}), str(port)]
    with subprocess.Popen([sys.executable, "-c", PROCESS, *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def client(address: str) -> Iterator[httpx.Client]:
    """A caller that waits until the service is there."""
    with httpx.Client(base_url=f"{address}/api/v1", headers={"X-Api-Key": "secret"}, timeout=30) as api:
        for _ in range(600):
            try:
                api.get("/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield api


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
