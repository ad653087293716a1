"""A process and all that it started: to be ended, killed, frozen and started again by tests."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

STOP_TIMEOUT_S = 30.0
_telling = threading.Lock()


class ProcessTree:
    """One program of a topology; starting it again appends to the same log.

    Args:
        name: for people.
        arguments: program and arguments.
        environment: on top of this process's own.
        log_file: of stdout and stderr.
        stop_signal: that asks it to end in good order.
        options: of `subprocess.Popen`.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    def is_running(self) -> bool:
        """Whether it is alive, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it unless it runs."""
        if self.is_running():
            return
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._arguments,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log_file.parent if not self._options else "/",
                **self._options,
            )
        _tell_guardian(f"+{self.pid}")

    def stop(self) -> None:
        """Ask it to end and wait; kill what has not ended after a while."""
        if self._process is None or not self.is_running():
            return
        self.resume()
        self._process.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it and everything that it started, also what went into a session of its own."""
        if self._process is None:
            return
        tree = self._tree()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ProcessLookupError):  # orphans of one that had ended before
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)
        wait_until(lambda: not any(map(_is_alive, tree)), STOP_TIMEOUT_S, f"{self.name} is gone")
        _tell_guardian(f"-{self.pid}")

    def pause(self) -> None:
        """Freeze all of it: connections stay open and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal_all(signal.SIGCONT)

    def log(self, since_start: bool = False) -> str:
        """What it has said, in all or since it was started last."""
        if not self.log_file.exists():
            return ""
        written = self.log_file.read_bytes()[self._log_start if since_start else 0 :]
        return written.decode("utf-8", errors="replace")

    def _signal_all(self, signum: signal.Signals) -> None:
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)

    def _tree(self) -> list[psutil.Process]:
        if not self.is_running():
            return []
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # of an orphan: whoever adopted it is in no hurry
    return False


@cache
def _guardian() -> "subprocess.Popen[bytes]":
    program = [sys.executable, str(Path(__file__).with_name("guardian.py"))]
    return subprocess.Popen(program, stdin=subprocess.PIPE, start_new_session=True)


def _tell_guardian(line: str) -> None:
    pipe = _guardian().stdin
    assert pipe is not None
    with _telling:
        pipe.write(f"{line}\n".encode())
        pipe.flush()


def wait_until(
    reached: Callable[[], bool], timeout_s: float, what: str, tree: ProcessTree | None = None, every_s: float = 0.05
) -> None:
    """Wait for something to come true; it fails at once, with the log, where a process that it hangs on has ended."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        said = "" if tree is None else f"; the log of {tree.name} ends:\n{tree.log()[-3000:]}"
        assert tree is None or tree.is_running(), f"{what}: it ended with {tree.returncode}{said}"
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}{said}"
        time.sleep(every_s)
