"""A user's first hour on one machine: up, shell, scan, status, reconstruct, Ctrl-C."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from running_stack import RunningStack, start_stack, stop_stack

from services.catalog.client import Catalog
from services.catalog.products import read_stack
from services.catalog.records import SeriesRecord
from services.catalog.volumes import list_volumes, read_volume
from services.stack.embedded import running_processes
from services.stack.folder import StackFolder
from services.stack.processes import process_exists


def test_the_scan_is_enhanced(series: SeriesRecord, catalog: Catalog) -> None:
    enhanced = read_stack(catalog, series.key, "enhanced", "Zn")
    assert enhanced.shape == (8, 4 * 16, 4 * 16)
    assert np.isfinite(enhanced).all()


def test_status_names_processes_series_and_what_waits(stack: RunningStack, series: SeriesRecord) -> None:
    done = stack.command("status", "--folder", str(stack.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("tiled", "worker", "reconstruction", "no projection waits", series.series_uid[:8]):
        assert words in done.stdout


def test_reconstruct_by_command_gives_a_volume_in_tiled(
    stack: RunningStack, series: SeriesRecord, catalog: Catalog
) -> None:
    done = stack.command("reconstruct", series.key, "--folder", str(stack.folder), "--element", "Zn")
    assert done.returncode == 0, done.stdout + done.stderr
    volume = list_volumes(catalog, series.key)[-1]
    density = read_volume(catalog, series.key, volume.job_id, "Zn")
    assert density.shape == (64, 64, 64)
    assert density.mean() > 0


def test_an_unknown_series_is_one_clear_line(stack: RunningStack) -> None:
    done = stack.command("reconstruct", "no-such-series", "--folder", str(stack.folder))
    assert done.returncode == 1
    assert "Unknown series" in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_open_and_are_found_through_databroker(series: SeriesRecord, catalog: Catalog) -> None:
    from databroker.client import BlueskyRun
    from databroker.queries import PartialUID, ScanID
    from tiled.queries import Key

    raw = catalog.raw
    run = raw[-1]
    assert isinstance(run, BlueskyRun)
    assert run.start["sample_name"] == "ZnMn-32cyc"
    assert len(raw.search(Key("start.series_uid") == series.series_uid)) == 8
    assert len(raw.search(ScanID(run.start["scan_id"]))) == 1
    assert list(raw.search(PartialUID(run.start["uid"][:8]))) == [run.start["uid"]]
    assert run["xrf"].read()["xrf_spectra"].shape[:2] == (16, 16)


def test_a_second_stack_in_the_same_folder_is_refused(stack: RunningStack) -> None:
    done = stack.command("up", "--folder", str(stack.folder))
    assert done.returncode == 1
    assert "a stack already runs" in done.stderr


def test_a_killed_worker_is_started_again(stack: RunningStack) -> None:
    folder = StackFolder(stack.folder)
    worker_pid = running_processes(folder)["worker"]
    os.kill(worker_pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while running_processes(folder).get("worker", worker_pid) == worker_pid:
        assert time.monotonic() < deadline, "the worker did not start again"
        time.sleep(0.2)


def test_no_log_and_no_command_line_shows_the_key(stack: RunningStack) -> None:
    folder = StackFolder(stack.folder)
    key = folder.api_key()
    for log_file in folder.logs.iterdir():
        assert key not in log_file.read_text(errors="replace"), log_file.name
    for pid in running_processes(folder).values():
        assert key not in Path(f"/proc/{pid}/cmdline").read_text()


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    running = start_stack(tmp_path)
    pids = list(running_processes(StackFolder(running.folder)).values())
    assert len(pids) == 3
    stop_stack(running)
    assert running.supervisor.returncode == 0
    assert not any(process_exists(pid) for pid in pids)
