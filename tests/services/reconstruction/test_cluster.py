"""Jobs on a real Dask cluster: a scheduler and two workers in processes of their own, and Tiled between them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from distributed import Client

from models.physics.probe import zone_plate_probe
from services.catalog.client import Catalog
from services.catalog.probes import import_probe
from services.catalog.volumes import list_volumes, read_curves, read_maximum, read_slice, read_volume
from services.reconstruction import runner
from services.settings import Settings

API_KEY = "secret"
STARTS_WITHIN_S = 60.0
Wait = Callable[..., dict[str, Any]]
Serve = Callable[[Settings], AbstractContextManager[str]]
DASK = (sys.executable, "-m", "dask")


@dataclass(frozen=True)
class Cluster:
    """A scheduler with workers that know the way into Tiled."""

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def logs(self) -> str:
        """What its processes have said."""
        return "".join(file.read_text() for file in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def cluster(reconstruction_tiled: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of one thread each."""
    folder, port = tmp_path_factory.mktemp("dask"), free_port()
    address = f"tcp://127.0.0.1:{port}"
    tiled = {"SUBPROBE_TILED__URI": reconstruction_tiled.uri, "SUBPROBE_TILED__API_KEY": reconstruction_tiled.api_key}
    with ExitStack() as processes:

        def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
            log = processes.enter_context((folder / f"{name}.log").open("wb"))
            command = [*DASK, *arguments, "--no-dashboard"]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | tiled, cwd=folder)
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(port))
        started = Cluster(address, folder)
        for index in range(2):
            options = "--no-nanny", "--nthreads", "1", "--preload", "services.reconstruction.worker_task"
            started.workers.append(start(f"worker-{index}", "worker", address, *options))
        with Client(address, timeout=STARTS_WITHIN_S, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=STARTS_WITHIN_S)
        yield started


@pytest.fixture
def on_cluster(cluster: Cluster, settings: Settings, start_service: Serve) -> Iterator[httpx.Client]:
    """Asks a service that computes on the cluster."""
    with service_on(cluster.address, settings, start_service) as api:
        yield api


@pytest.fixture(scope="module")
def request_of_many_slabs(tall_series_key: str) -> dict[str, Any]:
    """Three slabs of an element, and as many of each of its halves."""
    return {"series": tall_series_key, "elements": ["Zn"], "parameters": {"n_iterations": 30}}


@pytest.fixture(scope="module")
def in_process(api: httpx.Client, request_of_many_slabs: dict[str, Any]) -> dict[str, Any]:
    """The job that does this in the service itself; begun, and hardly done when it is needed."""
    job: dict[str, Any] = api.post("/reconstructions", json=request_of_many_slabs).json()
    return job


def service_on(address: str, settings: Settings, start_service: Serve) -> AbstractContextManager[httpx.Client]:
    chosen = settings.reconstruction.model_copy(update={"compute": address})
    stack = ExitStack()
    service = stack.enter_context(start_service(settings.model_copy(update={"reconstruction": chosen})))
    client = httpx.Client(base_url=f"{service}/api/v1", headers={"X-Api-Key": API_KEY}, timeout=30)
    stack.enter_context(client)

    class Running(AbstractContextManager[httpx.Client]):
        def __enter__(self) -> httpx.Client:
            return client

        def __exit__(self, *_: object) -> None:
            stack.close()

    return Running()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def succeeded(api: httpx.Client, job: dict[str, Any], wait_for: Wait) -> dict[str, Any]:
    done = wait_for(api, job, "succeeded", "failed", within_s=60)
    assert done["state"] == "succeeded", done["error"]
    return done


def assert_same_volumes(catalog: Catalog, series_key: str, *jobs: dict[str, Any]) -> None:
    for element in jobs[0]["result"]["elements"]:
        one, other = (read_volume(catalog, series_key, job["id"], element).tobytes() for job in jobs)
        assert one == other
        for read in (read_slice, read_maximum):
            np.testing.assert_array_equal(*(read(catalog, series_key, job["id"], element, "xz") for job in jobs))
        for curves in zip(*(read_curves(catalog, series_key, job["id"], element) for job in jobs), strict=True):
            np.testing.assert_array_equal(*(curve.values for curve in curves))
    for told in ("quality", "resolution", "centre_px", "shape"):
        assert jobs[0]["result"][told] == jobs[1]["result"][told]


def test_two_workers_make_the_bytes_of_one_process(
    api: httpx.Client,
    on_cluster: httpx.Client,
    in_process: dict[str, Any],
    request_of_many_slabs: dict[str, Any],
    tiled_catalog: Catalog,
    tall_series_key: str,
    wait_for: Wait,
) -> None:
    job = on_cluster.post("/reconstructions", json=request_of_many_slabs).json()
    far, near = succeeded(on_cluster, job, wait_for), succeeded(api, in_process, wait_for)
    assert far["result"]["shape"] == [32, 160, 32]
    assert_same_volumes(tiled_catalog, tall_series_key, far, near)
    metadata = {volume.job_id: volume.metadata for volume in list_volumes(tiled_catalog, tall_series_key)}
    assert [metadata[done["id"]]["computed_by"] for done in (far, near)] == ["dask", "in-process"]
    assert metadata[far["id"]]["slab_rows"] == 54
    assert far["result"]["memory_bytes"] < near["result"]["memory_bytes"]
    volume = read_volume(tiled_catalog, tall_series_key, far["id"], "Zn")
    for plane, middle, highest in (("xz", volume[:, 80], volume.max(1)), ("yz", volume[:, :, 16], volume.max(2))):
        np.testing.assert_array_equal(read_slice(tiled_catalog, tall_series_key, far["id"], "Zn", plane), middle)
        np.testing.assert_array_equal(read_maximum(tiled_catalog, tall_series_key, far["id"], "Zn", plane), highest)


def test_moved_and_re_projected_maps_are_the_same_on_a_cluster(
    api: httpx.Client, on_cluster: httpx.Client, tiled_catalog: Catalog, series_key: str, wait_for: Wait
) -> None:
    import_probe(tiled_catalog, zone_plate_probe(n=32, pixel_size_nm=15.0, n_modes=1), "a-probe")
    wanted = {"series": series_key, "elements": ["Zn"], "parameters": {"n_iterations": 2}, "align": "jitter"}
    wanted |= {"angles": {"reproject_to": 12}}
    jobs = [(asked, asked.post("/reconstructions", json=wanted).json()) for asked in (on_cluster, api)]
    far, near = (succeeded(asked, job, wait_for) for asked, job in jobs)
    assert_same_volumes(tiled_catalog, series_key, far, near)
    assert "placed" not in tiled_catalog.processed[series_key, "volumes", far["id"]]


def test_a_cancelled_job_frees_the_workers_and_leaves_nothing(
    on_cluster: httpx.Client, cluster: Cluster, tiled_catalog: Catalog, tall_series_key: str, wait_for: Wait
) -> None:
    endless = {"series": tall_series_key, "algorithm": "mlem", "parameters": {"n_iterations": 10_000}, "fsc": False}
    job = on_cluster.post("/reconstructions", json=endless | {"centre": 16.0}).json()
    with Client(cluster.address, set_as_default=False) as client:
        wait_until(lambda: tasks_under_way(client) == 2)
        on_cluster.post(f"/reconstructions/{job['id']}/cancel")
        wait_for(on_cluster, job, "cancelled", within_s=15)
        assert tasks_under_way(client) == 0
    wait_until(lambda: job["id"] not in tiled_catalog.processed[tall_series_key, "volumes"])


def test_a_task_that_fails_for_good_fails_the_job_and_tells_why_but_no_key(
    on_cluster: httpx.Client, cluster: Cluster, tiled_catalog: Catalog, torn_series_key: str, wait_for: Wait
) -> None:
    job = on_cluster.post("/reconstructions", json={"series": torn_series_key}).json()
    done = wait_for(on_cluster, job, "succeeded", "failed")
    assert (done["state"], done["error"]) == ("failed", f"series {torn_series_key} has no enhanced maps")
    wait_until(lambda: job["id"] not in tiled_catalog.processed[torn_series_key, "volumes"])
    assert "surveying-Zn" in cluster.logs
    assert API_KEY not in cluster.logs


def test_a_scheduler_that_is_not_there_is_waited_for_a_while_and_the_job_says_what_to_do(
    settings: Settings, start_service: Serve, series_key: str, wait_for: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_CLUSTER_TRIES", 2)
    monkeypatch.setattr(runner, "_CLUSTER_PAUSE_S", 3.0)
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    with service_on(nowhere, settings, start_service) as api:
        job = api.post("/reconstructions", json={"series": series_key}).json()
        wait_until(lambda: "waiting for the Dask" in api.get(f"/reconstructions/{job['id']}").json()["message"])
        done = wait_for(api, job, "succeeded", "failed")
    assert done["state"] == "failed"
    assert f"given up after 2 tries: no Dask scheduler answers at {nowhere}" in done["error"]
    assert "start one (`dask scheduler`)" in done["error"]


def test_slabs_of_a_killed_worker_are_done_again_by_the_other(
    api: httpx.Client,
    on_cluster: httpx.Client,
    cluster: Cluster,
    in_process: dict[str, Any],
    request_of_many_slabs: dict[str, Any],
    tiled_catalog: Catalog,
    tall_series_key: str,
    wait_for: Wait,
) -> None:
    job = on_cluster.post("/reconstructions", json=request_of_many_slabs).json()
    with Client(cluster.address, set_as_default=False) as client:
        wait_until(lambda: tasks_under_way(client) == 2)
        wait_until(lambda: "reconstructing" in message_of(on_cluster, job))
        cluster.workers[0].kill()
        assert wait_for(on_cluster, job, "running", within_s=0.5)
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 1)
    far, near = succeeded(on_cluster, job, wait_for), succeeded(api, in_process, wait_for)
    assert_same_volumes(tiled_catalog, tall_series_key, far, near)


def tasks_under_way(client: Client) -> int:
    # A function of this module's own would be looked for there by the workers, who cannot import it.
    count: dict[str, int] = client.run(lambda dask_worker: len(dask_worker.state.executing))
    return sum(count.values())


def message_of(api: httpx.Client, job: dict[str, Any]) -> str:
    return str(api.get(f"/reconstructions/{job['id']}").json()["message"])


def wait_until(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
