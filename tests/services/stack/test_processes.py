import sys
import time
from pathlib import Path

import pytest

from services.stack.processes import Child, Command, StackError, console_script, process_exists


def _child(tmp_path: Path, code: str) -> Child:
    return Child(Command("test", [sys.executable, "-c", code], {"GREETING": "hello"}, tmp_path / "test.log"))


def _wait_until_dead(child: Child) -> None:
    while child.is_running():
        time.sleep(0.01)


def test_output_and_environment_reach_the_log(tmp_path: Path) -> None:
    child = _child(tmp_path, "import os; print(os.environ['GREETING'])")
    _wait_until_dead(child)
    assert (tmp_path / "test.log").read_text() == "hello\n"


def test_a_running_child_is_left_alone_and_stops_when_asked(tmp_path: Path) -> None:
    child = _child(tmp_path, "import time; time.sleep(60)")
    assert child.is_running()
    assert not child.restart_if_dead()
    assert child.restarts == 0
    child.stop()
    assert not process_exists(child.pid)


def test_a_dead_child_starts_again_after_a_pause(tmp_path: Path) -> None:
    child = _child(tmp_path, "")
    _wait_until_dead(child)
    first_pid = child.pid
    assert not child.restart_if_dead(), "the first pause is one second"
    deadline = time.monotonic() + 5
    while not child.restart_if_dead() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert child.restarts == 1
    assert child.pid != first_pid
    child.stop()


def test_an_unknown_command_is_a_clear_error() -> None:
    with pytest.raises(StackError, match="no command 'no-such-command'"):
        console_script("no-such-command")
