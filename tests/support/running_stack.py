"""An embedded stack as a user starts it: by the command, in a folder of its own."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.settings import Settings, load_settings
from services.stack.address import with_stack_address
from services.stack.embedded import free_port
from services.stack.processes import console_script

START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class RunningStack:
    """A stack started by `subprobe up`."""

    folder: Path
    supervisor: "subprocess.Popen[str]"
    output: Path

    def settings(self) -> Settings:
        """As a client command of this stack builds them."""
        return with_stack_address(load_settings(None, {"folder": self.folder}))

    def command(self, *arguments: str, typed: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run `subprobe ...` in the folder above the stack's, its motors as fast as they compute."""
        return self._run([console_script("subprobe"), *arguments], {"SUBPROBE_BEAMLINE__TIME_SCALE": "0"}, typed)

    def shell_line(self, line: str, names: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run a line as a user types it into bash there, with `subprobe` on PATH and names as shell variables."""
        beside = Path(console_script("subprobe")).parent
        return self._run(["bash", "-c", line], {"PATH": f"{beside}:{os.environ['PATH']}", **names}, None)

    def _run(
        self, arguments: list[str], environment: dict[str, str], typed: str | None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            arguments,
            cwd=self.folder.parent,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | environment,
        )


def stop_stack(running: RunningStack) -> None:
    """Ctrl-C."""
    running.supervisor.send_signal(signal.SIGINT)
    running.supervisor.wait(60)


def start_stack(parent: Path) -> RunningStack:
    """`subprobe up` in a folder of its own; returns when it says that it is up."""
    output = parent / "up.txt"
    ports = ["--tiled-port", str(free_port()), "--port", str(free_port())]
    with output.open("w") as file:
        supervisor = subprocess.Popen(
            [console_script("subprobe"), "up", "--folder", "subprobe-data", *ports],
            cwd=parent,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while "Ctrl-C stops everything" not in output.read_text():
        if supervisor.poll() is not None or time.monotonic() > deadline:
            supervisor.kill()
            pytest.fail(f"subprobe up did not come up:\n{output.read_text()}")
        time.sleep(0.2)
    return RunningStack(parent / "subprobe-data", supervisor, output)
