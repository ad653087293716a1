"""What a process writes into its log."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.logs import LoggedPool, configure_logging, log_context

log = logging.getLogger("services.of.test")
library = logging.getLogger("library")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    """A log of JSON lines; the process is as it was afterwards."""
    root, excepthook = logging.getLogger(), sys.excepthook
    before, level = list(root.handlers), root.level
    path = tmp_path / "log"
    configure_logging("INFO", path, "json", "worker-1")
    yield path
    logging.captureWarnings(False)
    root.handlers[0].close()
    root.handlers[:], sys.excepthook = before, excepthook
    root.setLevel(level)


def _read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_json_line_says_when_who_and_what(lines: Path) -> None:
    log.warning("angle %d is done", 7, extra={"theta_deg": 12.5, "seconds": {"fit": 0.2}})
    (line,) = _read(lines)
    assert str(line.pop("ts")).endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "services.of.test",
        "message": "angle 7 is done",
        "process": "worker-1",
        "theta_deg": 12.5,
        "seconds": {"fit": 0.2},
    }


def test_every_line_of_a_context_carries_its_ids_also_of_libraries_threads_and_tracebacks(lines: Path) -> None:
    with log_context(run_uid="r1", series_uid="s1"), LoggedPool(2) as threads:
        with log_context(job_id="j1"):
            threads.submit(library.warning, "retrying").result()
        try:
            raise RuntimeError("no beam")
        except RuntimeError:
            library.exception("it failed")
    library.warning("outside")

    within, failed, outside = _read(lines)
    assert (within["run_uid"], within["series_uid"], within["job_id"]) == ("r1", "s1", "j1")
    assert (failed["run_uid"], "job_id" in failed) == ("r1", False)
    assert "RuntimeError: no beam" in str(failed["exception"])
    assert "run_uid" not in outside


@pytest.mark.parametrize(
    "text",
    [
        "GET http://tiled/api/v1/?api_key=hush&x=1",
        "headers {'Authorization': 'Apikey hush'}",
        "no route to postgresql://subprobe:hush@db/jobs",
        "redis://:hush@redis:6379",
    ],
)
def test_no_secret_of_an_address_or_a_header_is_logged(lines: Path, text: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        library.exception("said %s", text)
    assert "hush" not in lines.read_text()
    assert "***" in lines.read_text()


def test_what_a_library_hangs_on_its_records_is_left_out(lines: Path) -> None:
    library.warning("connected", extra={"websocket": "Apikey hush", "attempt": 2})
    (line,) = _read(lines)
    assert line["attempt"] == 2
    assert "websocket" not in line


def test_warnings_and_uncaught_exceptions_are_json_lines_too() -> None:
    code = (
        "import warnings; from services.logs import configure_logging; configure_logging(log_format='json');"
        "warnings.warn('old'); raise ValueError('uncaught')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    warned, raised = [json.loads(line) for line in done.stderr.splitlines()]
    assert "old" in warned["message"]
    assert "ValueError: uncaught" in raised["exception"]


def test_people_get_one_plain_line_without_secrets(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure_logging("INFO", tmp_path / "log")
        log.info("connected with api_key=hush")
        root.handlers[0].close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("INFO    services.of.test: connected with api_key=***")
