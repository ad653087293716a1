"""What `subprobe status` tells of a deployment that is in no folder of ours."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from services.catalog.client import Catalog, connect, merge_metadata
from services.catalog.parking import park_run
from services.catalog.products import list_series
from services.catalog.workers import publish_worker, published_workers
from services.cli import app
from services.inference.presence import Presence
from services.inference.status import StatusFile, WorkerStatus
from services.reconstruction.jobs import JobStore
from services.settings import Settings
from services.stack.status import print_status

Look = Callable[..., tuple[bool, str]]


@pytest.fixture
def settings(tiled_server: Any, tmp_path: Path) -> Settings:
    """Of a person who has an address and a key, and no stack in a folder."""
    return Settings.model_validate(
        {"folder": tmp_path / "none", "tiled": {"uri": tiled_server.uri, "api_key": tiled_server.api_key}}
    )


@pytest.fixture
def look(settings: Settings) -> Look:
    """The answer of `subprobe status` and what it prints."""

    def told(**changes: Any) -> tuple[bool, str]:
        out = io.StringIO()
        is_well = print_status(settings.model_copy(update=changes), Console(file=out, width=200))
        return is_well, out.getvalue()

    return told


def _worker(name: str, **said: Any) -> dict[str, Any]:
    now = time.time()
    return asdict(replace(WorkerStatus(name, 17, "idle", now - 60, now, host="node-3"), **said))


def _age(catalog: Catalog, name: str, by_s: float) -> None:
    merge_metadata(catalog.processed["workers", name], {"published_at": time.time() - by_s})


def test_a_deployment_tells_its_workers_from_tiled(catalog: Catalog, look: Look) -> None:
    publish_worker(catalog, "worker-1", _worker("worker-1", n_done=12, doing="lambda of run ab12cd34, 40%"))
    publish_worker(catalog, "worker-2", _worker("worker-2", state="stopped"))
    is_well, told = look()
    assert is_well, told
    assert "worker-1         idle, 12 done since" in told
    assert "pid 17 on node-3" in told
    assert "doing: lambda of run ab12cd34, 40%" in told
    assert "worker-2         stopped " in told
    assert "jobs unknown: no job table is known: set SUBPROBE_RECONSTRUCTION__DATABASE_URI" in told
    assert list_series(catalog) == []


def test_a_worker_that_says_nothing_more_is_down_and_one_whose_loop_hangs_too(catalog: Catalog, look: Look) -> None:
    publish_worker(catalog, "worker-1", _worker("worker-1"))
    publish_worker(catalog, "worker-2", _worker("worker-2"))
    _age(catalog, "worker-2", 300)
    hung_since = time.time() - 3600
    publish_worker(catalog, "worker-3", _worker("worker-3", state="processing", updated_at=hung_since))
    is_well, told = look()
    assert not is_well
    assert "worker-2         is down since" in told
    assert "5 min ago" in told
    assert "worker-3         hangs in 'processing' since" in told
    assert told.splitlines()[-1] == "not well: worker-2, worker-3"


def test_no_worker_at_all_and_no_tiled_at_all_are_not_well(
    catalog: Catalog, look: Look, settings: Settings, tmp_path: Path
) -> None:
    assert catalog
    assert look() == (False, look()[1])
    assert "no worker runs" in look()[1]
    tiled = settings.tiled.model_copy(update={"uri": "http://127.0.0.1:1"})
    StatusFile(tmp_path / "status", "worker-1").update(state="waiting for Tiled")
    is_well, told = look(tiled=tiled, folder=tmp_path)
    assert not is_well
    assert "Tiled does not answer" in told
    assert "worker-1         waiting for Tiled, 0 done" in told


def test_a_worker_killed_on_this_machine_is_down_at_once(catalog: Catalog, look: Look, tmp_path: Path) -> None:
    assert catalog
    code = "import sys; from pathlib import Path; from services.inference.status import StatusFile; "
    code += f"StatusFile(Path({str(tmp_path / 'status')!r}), 'worker-9').update(state='processing')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    is_well, told = look(folder=tmp_path)
    assert not is_well
    assert "worker-9         is down since" in told


def test_jobs_come_from_the_table_that_is_configured(
    catalog: Catalog, look: Look, settings: Settings, tmp_path: Path
) -> None:
    publish_worker(catalog, "worker-1", _worker("worker-1"))
    uri = f"sqlite:///{tmp_path}/jobs.db"
    reconstruction = settings.reconstruction.model_validate({"database_uri": uri})
    store = JobStore(uri)
    failed = store.create("12-cathode-aa", {})
    claimed = store.claim("pod-1")
    assert claimed is not None
    store.fail(claimed, "no room for 12 GB")
    waits = store.create("12-cathode-aa", {})
    is_well, told = look(reconstruction=reconstruction)
    assert is_well, told
    assert "jobs: 1 queued, 1 failed, the oldest waits" in told
    assert f"failed {failed.id} of 12-cathode-aa: no room for 12 GB" in told

    engine = create_engine(uri)
    with engine.begin() as connection:
        long_ago = str((datetime.now(UTC) - timedelta(minutes=9)).replace(tzinfo=None))
        connection.execute(
            text("UPDATE reconstruction_jobs SET due_at = :t WHERE id = :i"), {"t": long_ago, "i": waits.id}
        )
    engine.dispose()
    is_well, told = look(reconstruction=reconstruction)
    assert not is_well
    assert "no reconstruction service takes jobs: 1 are due" in told
    store.close()


def test_what_is_parked_is_told_with_its_reason(catalog: Catalog, look: Look) -> None:
    park_run(catalog, "run-uid", "it has no [i0]")
    assert "parked run run-uid: it has no [i0]" in look()[1]


def test_a_worker_tells_tiled_its_changes_its_beats_and_its_good_end(
    catalog: Catalog, tiled_server: Any, tmp_path: Path
) -> None:
    status = StatusFile(tmp_path, "worker of mine")
    with connect(tiled_server.uri, tiled_server.api_key) as own, Presence(own, status):
        status.update(state="waiting for Tiled", last_error="it was away")
        deadline = time.monotonic() + 10
        while not (workers := published_workers(catalog)) or workers[0].said["state"] != "waiting for Tiled":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    (worker,) = published_workers(catalog)
    assert worker.key == "worker_of_mine"
    assert (worker.said["state"], worker.said["name"], worker.said["pid"]) == ("stopped", "worker of mine", os.getpid())
    assert len(catalog.processed["workers", "worker_of_mine"].metadata_revisions) == 0


def test_a_worker_that_ends_by_an_error_says_nothing(catalog: Catalog, tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "worker-1")
    status.update(state="idle")

    def die() -> None:
        time.sleep(1.5)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError), Presence(catalog, status):
        die()
    (worker,) = published_workers(catalog)
    assert worker.said["state"] == "idle"


def test_the_command_says_so_by_its_exit_code(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = settings.tiled.api_key.get_secret_value()
    monkeypatch.setenv("SUBPROBE_TILED__URI", str(settings.tiled.uri))
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", key)
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 1
    assert "no worker runs" in done.output
    assert key not in done.output
    publish_worker(catalog, "worker-1", _worker("worker-1"))
    assert CliRunner().invoke(app, ["status"]).exit_code == 0
