"""Where everything of a topology is on this machine: docker-compose.yml with its hosts, ports and volumes replaced."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compose_file import ROOT, Service, read_service
from postgres_server import SUPERUSER_PASSWORD

from services.stack.embedded import free_port
from services.stack.processes import console_script

_MOUNTED = {"/etc/subprobe": "subprobe", "/deploy/config": "tiled", "/etc/redis": "redis"}


@dataclass(frozen=True)
class Size:
    """How many of each."""

    tileds: int = 2
    workers: int = 2
    reconstructions: int = 2
    dask_workers: int = 2
    """0: reconstruct in process, and no scheduler."""


@dataclass(frozen=True)
class Places:
    """Ports, secrets and folders of one topology, and what compose's services become with them.

    Attributes:
        folder: what containers have as /data.
        size: how many of each.
        postgres_port: of a server that is there.
        settings: further ``SUBPROBE_...`` of all subprobe processes.
        ports: by name of the process; of dask's also that of its health.
        variables: what an operator would put into .env.
    """

    folder: Path
    size: Size
    postgres_port: int
    settings: Mapping[str, str]
    ports: Mapping[str, int] = field(init=False)
    variables: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ports", self._choose_ports())
        object.__setattr__(self, "variables", self._choose_variables())

    def address(self, name: str) -> str:
        """``host:port`` of a process."""
        return f"127.0.0.1:{self.ports[name]}"

    def tiled_uri(self, number: int) -> str:
        """Root of the Tiled that client number ``number`` talks to: they are dealt out in turn."""
        return f"http://{self.address(f'tiled-{(number - 1) % self.size.tileds + 1}')}"

    def arguments(self, service: str, number: int) -> list[str]:
        """Program and arguments of a service's replica."""
        first, *others = (self._here(text, service, number) for text in self.service(service).command)
        # A shell line, like a program, finds what is installed beside this interpreter.
        arguments = [first if first == "sh" else console_script(first), *others]
        if service == "redis":
            arguments += ["--port", str(self.ports["redis"]), "--bind", "127.0.0.1"]
            arguments += ["--dir", str(self.folder / "redis")]
        return arguments

    def environment(self, service: str, number: int) -> dict[str, str]:
        """Environment of a service's replica: compose's own, and what a container's name and volume do there."""
        given = self.service(service).environment
        environment = {name: self._here(str(value), service, number) for name, value in given.items()}
        installed = Path(console_script("subprobe")).parent
        environment |= {"HOSTNAME": str(number), "PATH": f"{installed}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        if service == "tiled":
            environment |= {"UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": str(self.ports[f"tiled-{number}"])}
        elif service not in ("redis", "tiled-init"):
            environment |= self._subprobe_environment(service, number) | dict(self.settings)
        return environment

    def service(self, name: str) -> Service:
        """A service with its variables put in, and nothing else changed."""
        return read_service(name, self.variables)

    def _subprobe_environment(self, service: str, number: int) -> dict[str, str]:
        environment = {"SUBPROBE_FOLDER": str(self.folder), "SUBPROBE_TILED__URI": self.tiled_uri(number)}
        listening = {"worker": ("WORKER__MONITOR_HOST", "WORKER__MONITOR_PORT"),
                     "reconstruction": ("RECONSTRUCTION__HOST", "RECONSTRUCTION__PORT")}  # fmt: skip
        if service in listening:
            host, port = listening[service]
            environment[f"SUBPROBE_{host}"] = "127.0.0.1"
            environment[f"SUBPROBE_{port}"] = str(self.ports[f"{service}-{number}"])
        return environment

    def _here(self, text: str, service: str, number: int) -> str:
        text = text.replace("postgres:5432", self.address("postgres")).replace("redis:6379", self.address("redis"))
        text = text.replace("dask-scheduler:8786", self.address("dask-scheduler-1"))
        if service.startswith("dask-"):
            text = text.replace("127.0.0.1:8787", self.address(f"health-{service}-{number}"))
            text = str(self.ports["dask-scheduler-1"]) if text == "8786" else text
        for mounted, folder in _MOUNTED.items():
            text = text.replace(mounted, str(ROOT / "deploy" / folder))
        return re.sub(r"^/data\b", str(self.folder), text)

    def _choose_ports(self) -> dict[str, int]:
        counts = {
            "tiled": self.size.tileds,
            "worker": self.size.workers,
            "reconstruction": self.size.reconstructions,
            "dask-scheduler": 1,
            "health-dask-scheduler": 1,
            "health-dask-worker": self.size.dask_workers,
        }
        names = [f"{kind}-{number}" for kind, count in counts.items() for number in range(1, count + 1)]
        ports: set[int] = set()
        while len(ports) < len(names) + 1:  # one at a time, the kernel might give the same port twice
            ports.add(free_port())
        return dict(zip([*names, "redis"], ports, strict=True)) | {"postgres": self.postgres_port}

    def _choose_variables(self) -> dict[str, str]:
        named = ("TILED_DATABASE_PASSWORD", "JOBS_DATABASE_PASSWORD", "REDIS_PASSWORD", "TILED_API_KEY")
        variables = {name: secrets.token_hex(16) for name in named} | {"POSTGRES_PASSWORD": SUPERUSER_PASSWORD}
        return variables | ({"COMPUTE": "tcp://dask-scheduler:8786"} if self.size.dask_workers else {})
