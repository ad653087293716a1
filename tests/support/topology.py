"""The topology of docker-compose.yml without Docker: its commands, settings files and environment, other addresses.

PostgreSQL, Redis, Tiled, workers, reconstruction services, a Dask cluster: each a process of its own that tests may
stop, kill, freeze and start again, at the same port and with the same data. Names: `postgres`, `redis`, `tiled-1`, ...,
`worker-1`, ..., `reconstruction-1`, ..., `dask-scheduler`, `dask-worker-1`, ...
"""

import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from compose_file import ROOT
from postgres_server import PostgresServer
from process_tree import ProcessTree, wait_until
from pydantic import HttpUrl, SecretStr
from topology_places import Places, Size

from services.catalog.client import Catalog, connect
from services.catalog.products import find_series
from services.catalog.records import CatalogError
from services.reconstruction.jobs import FINAL_STATES
from services.settings import BeamlineSettings, ReconstructionSettings, Settings, TiledSettings, WorkerSettings

READY_WITHIN_S = 180.0
_ORDER = ("postgres", "redis", "tiled", "dask-scheduler", "worker", "reconstruction", "dask-worker")


@dataclass
class _Part:
    tree: ProcessTree
    is_ready: Callable[[], bool]
    start: Callable[[], None]


@dataclass
class Topology:
    """All that runs. Clients choose their Tiled: number n talks to Tiled n, and around again."""

    folder: Path
    size: Size
    environment: Mapping[str, str]
    """On top of compose's, for every subprobe process: `SUBPROBE_...`."""
    _places: Places = field(init=False)
    _postgres: PostgresServer = field(init=False)
    _parts: dict[str, _Part] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for inside in ("raw", "arrays", "status", "backup", "logs", "redis"):
            (self.folder / inside).mkdir(parents=True, exist_ok=True)
        self._postgres = PostgresServer(self.folder / "logs/postgres.log")
        self._places = Places(self.folder, self.size, self._postgres.port, self.environment)
        self._parts["postgres"] = _Part(self._postgres.tree, self._postgres.is_ready, self._postgres.start)
        self._add("redis", "redis", 1, self._redis_answers)
        for number in range(1, self.size.tileds + 1):
            self._add(f"tiled-{number}", "tiled", number, self._http_answers(f"tiled-{number}", "/healthz"))
        for number in range(1, self.size.workers + 1):
            self._add(f"worker-{number}", "worker", number, self._worker_is_at_work(f"worker-{number}"))
        for number in range(1, self.size.reconstructions + 1):
            name = f"reconstruction-{number}"
            self._add(name, "reconstruction", number, self._http_answers(name, "/api/v1/healthz"))
        if self.size.dask_workers:
            self._add("dask-scheduler", "dask-scheduler", 1, self._scheduler_listens)
        for number in range(1, self.size.dask_workers + 1):
            self._add(f"dask-worker-{number}", "dask-worker", number, self._has_registered(f"dask-worker-{number}"))

    @property
    def names(self) -> tuple[str, ...]:
        """Of every process, in the order in which compose would start them."""
        return tuple(sorted(self._parts, key=lambda name: _ORDER.index(_kind(name))))

    @property
    def api_key(self) -> str:
        """Of Tiled, with all rights."""
        return self._places.variables["TILED_API_KEY"]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never stand in a log."""
        return tuple(value for name, value in self._places.variables.items() if name != "COMPUTE")

    @property
    def postgres(self) -> PostgresServer:
        """To look into, to dump and to restore."""
        return self._postgres

    def tiled_uri(self, number: int = 1) -> str:
        """Root of a Tiled."""
        return self._places.tiled_uri(number)

    def service_uri(self, number: int = 1) -> str:
        """Root of a reconstruction service."""
        return f"http://{self._places.address(f'reconstruction-{number}')}"

    def jobs_uri(self) -> str:
        """Of the job table, as the services have it."""
        return self._places.environment("reconstruction", 1)["SUBPROBE_RECONSTRUCTION__DATABASE_URI"]

    def settings(self, number: int = 1, **beamline: Any) -> Settings:
        """Of a client at Tiled and service of that number: a beamline as fast as it computes, unless told otherwise."""
        place = HttpUrl(self.service_uri(min(number, self.size.reconstructions))) if self.size.reconstructions else None
        service = {} if place is None else {"host": place.host, "port": place.port}
        return Settings(
            folder=self.folder,
            tiled=TiledSettings(uri=HttpUrl(self.tiled_uri(number)), api_key=SecretStr(self.api_key)),
            worker=WorkerSettings(name=f"client-{number}"),
            reconstruction=ReconstructionSettings.model_validate(service | {"database_uri": self.jobs_uri()}),
            beamline=BeamlineSettings.model_validate({"time_scale": 0.0} | beamline),
        )

    def connect(self, number: int = 1) -> Catalog:
        """A new connection to the Tiled of that number."""
        return connect(self.tiled_uri(number), self.api_key)

    def api(self, number: int = 1, timeout_s: float = 30.0) -> httpx.Client:
        """A client of the reconstruction service of that number, with the key."""
        headers = {"Authorization": f"Apikey {self.api_key}"}
        return httpx.Client(base_url=f"{self.service_uri(number)}/api/v1", headers=headers, timeout=timeout_s)

    def ended_job(self, job_id: str, number: int, timeout_s: float) -> dict[str, Any]:
        """A reconstruction once it has ended, as the service of that number tells it."""
        deadline = time.monotonic() + timeout_s
        with self.api(number) as api:
            while True:
                job: dict[str, Any] = api.get(f"/reconstructions/{job_id}").json()
                if job.get("state") in FINAL_STATES:
                    return job
                assert time.monotonic() < deadline, job
                time.sleep(0.2)

    def redis(self) -> "redis.Redis[bytes]":
        """A client of Redis, to be closed by whoever asks."""
        password = self._places.variables["REDIS_PASSWORD"]
        return redis.Redis("127.0.0.1", self._places.ports["redis"], password=password, socket_timeout=2)

    def process(self, name: str) -> ProcessTree:
        """For its pid, or whether it runs."""
        return self._parts[name].tree

    def start(self, name: str) -> None:
        """Start one, also again; it need not be ready when this returns."""
        self._parts[name].start()

    def stop(self, name: str) -> None:
        """End one in good order."""
        self._parts[name].tree.stop()

    def kill(self, name: str) -> None:
        """SIGKILL one and its children."""
        self._parts[name].tree.kill()

    def pause(self, name: str) -> None:
        """Freeze one: its connections stay open and it does not answer."""
        self._parts[name].tree.pause()

    def resume(self, name: str) -> None:
        """Let one go on after `pause`."""
        self._parts[name].tree.resume()

    def log(self, name: str) -> str:
        """All that one has said since the topology was made."""
        return self._parts[name].tree.log()

    def is_ready(self, name: str) -> bool:
        """Whether one runs and does its work."""
        return self._parts[name].tree.is_running() and self._parts[name].is_ready()

    def wait_ready(self, *names: str, timeout_s: float = READY_WITHIN_S) -> None:
        """Wait until these, or all, do their work; fails with the log of one that ended meanwhile."""
        for name in names or self.names:
            wait_until(self._parts[name].is_ready, timeout_s, f"{name} is ready", self._parts[name].tree)

    def start_all(self) -> None:
        """In compose's order: databases, the catalogue once, servers, and what talks to them."""
        for name in ("postgres", "redis"):
            self.start(name)
        self.wait_ready("postgres", "redis")
        self._create_databases()
        self.prepare_catalog()
        for kind in ("tiled", "dask-scheduler"):
            names = [name for name in self.names if _kind(name) == kind]
            for name in names:
                self.start(name)
        self.wait_ready(*(name for name in self.names if _kind(name) in ("tiled", "dask-scheduler")))
        for name in self.names:
            self.start(name)
        self.wait_ready()

    def prepare_catalog(self, *arguments: str) -> str:
        """Run `tiled-init` with further arguments; what it said."""
        command, environment = self._places.arguments("tiled-init", 1), self._places.environment("tiled-init", 1)
        once = ProcessTree("tiled-init", [*command, *arguments], environment, self.folder / "logs/tiled-init.log")
        once.start()
        wait_until(lambda: once.returncode is not None, READY_WITHIN_S, "the catalogue is prepared")
        assert once.returncode == 0, once.log()
        return once.log()

    def end(self) -> None:
        """End everything, whatever its state; what PostgreSQL kept is deleted."""
        trees = [part.tree for part in self._parts.values()]
        clients = [tree for tree in trees if _kind(tree.name) in ("worker", "reconstruction", "dask-worker")]
        with ThreadPoolExecutor(len(trees)) as at_once:  # clients first, in good order, while they have their servers
            for trees_to_end, end in ((clients, ProcessTree.stop), (trees, ProcessTree.kill)):
                for ending in [at_once.submit(end, tree) for tree in trees_to_end]:
                    with suppress(Exception):
                        ending.result()
        self._postgres.remove()

    def _add(self, name: str, service: str, number: int, is_ready: Callable[[], bool]) -> None:
        arguments, environment = self._places.arguments(service, number), self._places.environment(service, number)
        tree = ProcessTree(name, arguments, environment, self.folder / f"logs/{name}.log")
        self._parts[name] = _Part(tree, is_ready, tree.start)

    def _create_databases(self) -> None:
        if self._postgres.psql("-c", "SELECT 1 FROM pg_database WHERE datname = 'tiled_catalog'").strip():
            return
        variables = self._places.service("postgres").environment
        self._postgres.psql("-f", str(ROOT / "deploy/postgres/create-databases.sql"), environment=variables)

    def _redis_answers(self) -> bool:
        with suppress(redis.RedisError, OSError), self.redis() as client:
            return bool(client.ping())
        return False

    def _http_answers(self, name: str, path: str) -> Callable[[], bool]:
        def answers() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(f"http://{self._places.address(name)}{path}", timeout=5.0).is_success
            return False

        return answers

    def _worker_is_at_work(self, name: str) -> Callable[[], bool]:
        def is_at_work() -> bool:
            with suppress(FileNotFoundError):
                status = json.loads((self.folder / f"status/{name}.json").read_text(encoding="utf-8"))
                return status["pid"] == self.process(name).pid and status["state"] in ("idle", "processing")
            return False

        return is_at_work

    def _scheduler_listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._places.ports["dask-scheduler-1"]), 2):
            return True
        return False

    def _has_registered(self, name: str) -> Callable[[], bool]:
        return lambda: "Registered to" in self.process(name).log(since_start=True)


def n_done(catalog: Catalog, series_uid: str) -> int:
    """Angles done of a series; none where it is not there yet, or Tiled is away."""
    with suppress(CatalogError):
        return len(find_series(catalog, series_uid).done_angles)
    return 0


@contextmanager
def running_topology(
    folder: Path, size: Size | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Topology]:
    """Start everything in a folder, and end everything, whatever happened; skips where PostgreSQL or Redis is missing.

    Args:
        folder: of data and `logs/<name>.log`.
        size: two of everything, unless given.
        environment: further settings of all subprobe processes, for example ``SUBPROBE_WORKER__SWEEP_S``.
    """
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    topology = Topology(folder, size or Size(), environment or {})
    try:
        topology.start_all()
        yield topology
    finally:
        topology.end()


def _kind(name: str) -> str:
    return re.sub(r"-\d+$", "", name)
