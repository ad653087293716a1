"""Child processes of the embedded stack: start, watch, restart, stop."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.errors import SubprobeError

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 15.0
_LONGEST_BACKOFF_S = 30.0


class StackError(SubprobeError):
    """The stack could not start or does not run; the message says what to do."""


@dataclass(frozen=True)
class Command:
    """How one child is started."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path


def console_script(name: str) -> str:
    """Path of a command installed beside this interpreter, or on PATH."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return str(beside)
    found = shutil.which(name)
    if found is None:
        raise StackError(f"no command {name!r} beside {sys.executable} or on PATH: install subprobe with pip")
    return found


class Child:
    """One supervised process; restarted with growing pauses when it dies by itself."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.restarts = 0
        self._restart_at = 0.0
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it is alive now."""
        return self._process.poll() is None

    def restart_if_dead(self) -> bool:
        """Start it again if it died and its pause is over; True if it was started."""
        if self.is_running():
            return False
        if self._restart_at == 0.0:
            pause_s = min(2.0**self.restarts, _LONGEST_BACKOFF_S)
            self._restart_at = time.monotonic() + pause_s
            log.error(
                "%s (pid %d) ended with status %s; it starts again in %.0f s; its log is %s",
                self.command.name,
                self.pid,
                self._process.returncode,
                pause_s,
                self.command.log_file,
            )
        if time.monotonic() < self._restart_at:
            return False
        self.restarts += 1
        self._restart_at = 0.0
        self._process = self._start()
        return True

    def stop(self) -> None:
        """Ask it to end, wait, then end it."""
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                log.warning("%s (pid %d) did not stop in %.0f s: killed", self.command.name, self.pid, _STOP_TIMEOUT_S)
                self._process.kill()
                self._process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which then stops the children in order.
        with self.command.log_file.open("ab") as log_file:
            return subprocess.Popen(
                list(self.command.arguments),
                env=os.environ | dict(self.command.environment),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def process_exists(pid: int) -> bool:
    """Whether a process of that id is alive (a zombie is not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
