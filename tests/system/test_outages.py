"""The database stops, the storage is full: nothing is lost, everybody says what is wrong, and goes on by himself."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from process_tree import wait_until
from topology import Size, n_done, running_topology

from services.beamline.session import open_session
from services.catalog.backup import restore_backups
from services.catalog.parking import parked_runs
from services.catalog.probes import import_probe

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

N_ANGLES = 12
OUTAGE_S = 30.0
SMALL = Size(tileds=1, workers=1, reconstructions=1, dask_workers=0)
QUICK = {"SUBPROBE_WORKER__ENHANCER": "lmmse", "SUBPROBE_WORKER__SWEEP_S": "3"}


def test_a_database_that_is_away_for_half_a_minute_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with running_topology(tmp_path, SMALL, QUICK) as topology:
        session = open_session(topology.settings(), call_returns_result=True)
        import_probe(session.catalog, session.beamline.probe, "twin")
        two_measured = threading.Event()
        stops = iter(range(N_ANGLES + 1))
        session.RE.subscribe(lambda *_: two_measured.set() if next(stops) == 1 else None, "stop")
        said: list[httpx.Response] = []

        def outage() -> None:
            two_measured.wait(120)
            topology.stop("postgres")
            ends = time.monotonic() + OUTAGE_S
            while time.monotonic() < ends:
                with suppress(httpx.TransportError), topology.api(timeout_s=20) as api:
                    said.append(api.get("/reconstructions"))
                time.sleep(2)
            topology.start("postgres")

        away = threading.Thread(target=outage)
        away.start()
        uid = scanned(session)
        away.join()
        session.catalog.close()

        assert said
        for answer in said:
            assert answer.status_code in (200, 503), answer.text
        refused = [answer.json()["detail"] for answer in said if answer.status_code == 503]
        assert refused
        print(f"\n{len(said)} requests in the outage, {len(refused)} refused: {set(refused)}")
        with topology.connect() as catalog:
            began = time.monotonic()
            restored = restore_backups(catalog, topology.folder / "backup")
            wait_until(lambda: n_done(catalog, uid) == N_ANGLES, 240, "all angles are done")
            print(
                f"{len(restored)} runs came from the backup; all done {time.monotonic() - began:.0f} s after the scan"
            )
            assert not parked_runs(catalog)
        assert " is parked" not in topology.log("worker-1")


def test_a_full_storage_is_told_and_work_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "arrays", 24), running_topology(tmp_path, SMALL, QUICK) as topology:
        session = open_session(topology.settings(), call_returns_result=True)
        import_probe(session.catalog, session.beamline.probe, "twin")
        filler = tmp_path / "arrays/filler"
        fill(filler)
        uid = scanned(session)
        session.catalog.close()
        status = tmp_path / "status/worker-1.json"
        wait_until(
            lambda: "storage of Tiled is full" in json.loads(status.read_text())["last_error"], 240, "it is told"
        )
        print(f"\n{json.loads(status.read_text())['last_error']}")
        filler.unlink()
        with topology.connect() as catalog:
            wait_until(lambda: n_done(catalog, uid) == N_ANGLES, 240, "all angles are done")
            assert not parked_runs(catalog)


def scanned(session) -> str:
    """Series uid of a small series, measured to its end."""
    angles_deg = [180.0 * index / N_ANGLES for index in range(N_ANGLES)]
    plan = session.plans["coarse_flyscan_tomo"]
    done = session.RE(plan(sample="outage", angles_deg=angles_deg, fov_um=[0.96, 0.96], step_nm=120.0))
    assert done.exit_status == "success"
    return str(done.plan_result.series_uid)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """A file system of its own in memory at a folder; skips where mounting is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(file: Path) -> None:
    """Take all space that is left."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"0" * 4096)
