"""The embedded stack: Tiled, the worker and the reconstruction service on one machine."""

import json
import logging
import os
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from services.settings import Settings
from services.stack.folder import StackFolder
from services.stack.processes import Child, Command, StackError, console_script, process_exists

log = logging.getLogger(__name__)

_START_TIMEOUT_S = 90.0


class EmbeddedStack:
    """Starts three processes on entry, keeps them alive while `watch` runs, stops them on exit.

    Raises:
        StackError: a port is taken, the folder is in use, or a process does not come up; the message says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = StackFolder(settings.folder.resolve())
        self.settings = settings
        self.tiled_uri = str(settings.tiled.uri).rstrip("/")
        self.service_uri = f"http://{settings.reconstruction.host}:{settings.reconstruction.port}"
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self._refuse_second_stack()
        self._refuse_taken_ports()
        self.folder.prepare()
        self.api_key = self.folder.api_key()
        try:
            # All at once: each spends seconds importing, and the two services wait for Tiled by themselves.
            at = self.settings.tiled.uri
            tiled = self._start("tiled", tiled_arguments(str(at.host), at.port))
            self._start("worker", [console_script("subprobe"), "worker"])
            service = self._start("reconstruction", [console_script("subprobe"), "serve"])
            _wait_until_healthy(tiled, f"{self.tiled_uri}/healthz")
            _wait_until_healthy(service, f"{self.service_uri}/api/v1/healthz")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def browse_url(self) -> str:
        """The Tiled web client, with the key that lets a browser in."""
        return self.browse("")

    def browse(self, path: str) -> str:
        """The Tiled web client at a node, for example ``processed/7-cathode-1a2b3c4d``."""
        return f"{self.tiled_uri}/ui/browse/{path}?api_key={self.api_key}"

    def watch(self) -> None:
        """Restart what dies, for ever; end it with KeyboardInterrupt."""
        while True:
            restarted = [child.command.name for child in self._children if child.restart_if_dead()]
            if restarted:
                log.info("started again: %s", ", ".join(restarted))
                self._write_stack_file()
            time.sleep(0.5)

    def _start(self, name: str, arguments: list[str]) -> Child:
        child = Child(Command(name, arguments, self._environment(), self.folder.logs / f"{name}.log"))
        self._children.append(child)
        self._write_stack_file()
        log.info("started %s, pid %d", name, child.pid)
        return child

    def _environment(self) -> dict[str, str]:
        """Secrets and places of the children travel by environment, so that no command line shows them."""
        reconstruction, worker = self.settings.reconstruction, self.settings.worker
        places = {
            "TILED_CONFIG": str(self.folder.tiled_config),
            "SUBPROBE_FOLDER": str(self.folder.root),
            "SUBPROBE_LOG__FORMAT": self.settings.log.format,
            "SUBPROBE_TILED__URI": self.tiled_uri,
            "SUBPROBE_RECONSTRUCTION__HOST": reconstruction.host,
            "SUBPROBE_RECONSTRUCTION__PORT": str(reconstruction.port),
            "SUBPROBE_RECONSTRUCTION__DATABASE_URI": self.folder.jobs_uri,
            "SUBPROBE_RECONSTRUCTION__THREADS": str(reconstruction.threads),
        }
        # Left out: the monitor's port, which nobody scrapes on a laptop and which another stack may have taken.
        given = worker.model_dump(exclude_none=True)
        worker_values = {f"SUBPROBE_WORKER__{key.upper()}": str(value) for key, value in given.items()}
        secrets = {"TILED_SINGLE_USER_API_KEY": self.api_key, "SUBPROBE_TILED__API_KEY": self.api_key}
        return places | worker_values | secrets

    def _refuse_second_stack(self) -> None:
        running = running_processes(self.folder)
        if running:
            names = ", ".join(f"{name} (pid {pid})" for name, pid in running.items())
            raise StackError(f"a stack already runs in {self.folder.root}: {names}. End it with `subprobe down`")

    def _refuse_taken_ports(self) -> None:
        uri, reconstruction = self.settings.tiled.uri, self.settings.reconstruction
        wanted = (("--tiled-port", str(uri.host), uri.port), ("--port", reconstruction.host, reconstruction.port))
        for option, host, port in wanted:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port or 0))
                except OSError as error:
                    raise StackError(f"port {port} of {host} is taken: choose another with {option}") from error

    def _write_stack_file(self) -> None:
        record = {
            "pid": os.getpid(),
            "tiled_uri": self.tiled_uri,
            "service_uri": self.service_uri,
            "processes": {child.command.name: child.pid for child in self._children},
        }
        partial = self.folder.stack_file.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        partial.replace(self.folder.stack_file)

    def _stop(self) -> None:
        for child in reversed(self._children):
            child.stop()
            log.info("stopped %s", child.command.name)
        self._children.clear()
        self.folder.stack_file.unlink(missing_ok=True)


def read_stack_file(folder: StackFolder) -> dict[str, object] | None:
    """What the running, or last, stack of a folder wrote about itself; None if there is none."""
    try:
        record = json.loads(folder.stack_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record if isinstance(record, dict) else None


def running_processes(folder: StackFolder) -> dict[str, int]:
    """Name and process id of what still runs of a folder's stack."""
    record = read_stack_file(folder) or {}
    processes = record.get("processes", {})
    assert isinstance(processes, dict)
    return {name: pid for name, pid in processes.items() if process_exists(pid)}


def end_stack(folder: StackFolder, timeout_s: float = 30.0) -> dict[str, int]:
    """End a folder's stack from outside: its supervisor if it lives, else the orphans; what was ended."""
    record = read_stack_file(folder)
    running = running_processes(folder)
    if record is None:
        return {}
    supervisor = record.get("pid")
    if isinstance(supervisor, int) and supervisor != os.getpid() and process_exists(supervisor):
        os.kill(supervisor, signal.SIGTERM)
    else:
        for pid in running.values():
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while running_processes(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in running_processes(folder).values():
        os.kill(pid, signal.SIGKILL)
    folder.stack_file.unlink(missing_ok=True)
    return running


def tiled_arguments(host: str, port: int | None) -> list[str]:
    """Tiled's application under uvicorn: `tiled serve` would print the key into the log."""
    address = ["--host", host, "--port", str(port)]
    return [console_script("uvicorn"), "--factory", "services.catalog.server:create_app", "--no-access-log", *address]


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(child: Child, url: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if not child.is_running():
            raise StackError(f"{child.command.name} ended at its start: {_last_lines(child.command.log_file)}")
        try:
            if httpx.get(url, timeout=2.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise StackError(
        f"{child.command.name} did not answer at {url} in {_START_TIMEOUT_S:.0f} s: see {child.command.log_file}"
    )


def _last_lines(path: Path, count: int = 5) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
