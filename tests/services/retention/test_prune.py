"""`subprobe prune` before a real Tiled: what goes, what stays byte for byte, what can still be read."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from projection_runs import EVERYTHING, RunWriter
from typer.testing import CliRunner

from models.run_schema import ProjectionStart
from services.catalog.angle_records import AngleRecord
from services.catalog.client import Catalog, create_container, ensure_container, merge_metadata
from services.catalog.products import find_series, read_stack
from services.catalog.records import CatalogError, NotFoundError
from services.catalog.retention import remove_enhanced, remove_volume
from services.catalog.runs import finished_projections, read_projection
from services.catalog.series_layout import ensure_series
from services.catalog.volume_writing import VolumePlace, begin_volume, finish_volume, write_slab
from services.catalog.volumes import list_volumes, read_volume
from services.catalog.workers import publish_worker, published_workers
from services.cli import app
from services.reconstruction.jobs import JobStore

DAY_S = 86400.0


@dataclass(frozen=True)
class Pruning:
    """A catalogue with a measured series, and the command."""

    catalog: Catalog
    store: JobStore
    series_key: str
    raw_folder: Path

    def run(self, *arguments: str) -> Any:
        return CliRunner().invoke(app, ["prune", *arguments], env={"COLUMNS": "200"})

    def volume(self, days_old: float, is_complete: bool = True, job_id: str | None = None) -> str:
        """A volume of that age, and its id."""
        job_id = job_id or self.store.create(self.series_key, {}).id
        place = VolumePlace(self.series_key, job_id, "attempt")
        begin_volume(self.catalog, place, ["Zn"], (8, 8, 8), 8)
        write_slab(self.catalog, place, "Zn", 0, np.ones((8, 8, 8), np.float32))
        if is_complete:
            finish_volume(self.catalog, place, {}, {})
        made_at = time.time() - days_old * DAY_S
        node = self.catalog.processed[self.series_key, "volumes", job_id]
        merge_metadata(node, {"begun_at": made_at} | ({"completed_at": made_at} if is_complete else {}))
        return job_id

    def there(self) -> set[str]:
        """Ids of the volumes that are there, finished or not."""
        return set(self.catalog.processed[self.series_key, "volumes"])

    def raw(self) -> dict[str, Any]:
        """Everything that was measured: files by their digest, runs by what they say, and what Tiled reads of them."""
        files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in self.raw_folder.rglob("*.h5")}
        runs = {uid: dict(run.metadata) for uid, run in self.catalog.raw.items()}
        spectra = {
            f"{run.run_uid} spectra": read_projection(self.catalog, run.run_uid).spectra.tobytes()
            for run in finished_projections(self.catalog)
        }
        assert files
        assert spectra
        return files | runs | spectra


@pytest.fixture(scope="module")
def series_keys(tiled_connection: Catalog, run_writer: RunWriter, projection_start: ProjectionStart) -> list[str]:
    """Two complete series of one angle, the first with its run."""
    for tree in tiled_connection.root.values():
        tree.delete_contents(recursive=True, external_only=False)
    start = replace(projection_start, elements=("Zn",), n_angles=1, angles_deg=(-60.0,))
    run_uid = run_writer.write(start)
    other = replace(start, series_uid="00000000-1111-4000-8000-000000000002")
    run_writer.write(other, leave_out=EVERYTHING, exit_status=None)
    return [_complete(tiled_connection, one, run_uid) for one in (start, other)]


def _complete(catalog: Catalog, start: ProjectionStart, run_uid: str) -> str:
    series = ensure_series(catalog, start, 2, "worker-1")
    for source in ("fitted", "enhanced"):
        stack = series.stacks[source, "Zn"]
        stack.write(np.arange(np.prod(stack.shape), dtype=np.float32).reshape(stack.shape))
    record = AngleRecord(run_uid, 0.0, "complete", "worker-1", 0.0, 0, start.theta_deg)
    create_container(series.projections, "0000", asdict(record) | {"purpose": "coarse"})
    return series.key


@pytest.fixture
def pruning(
    tiled_connection: Catalog,
    tiled_server: Any,
    series_keys: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pruning]:
    """The series without volumes, and a job table without jobs."""
    for key in series_keys:
        ensure_container(tiled_connection.processed[key], "volumes").delete_contents(
            recursive=True, external_only=False
        )
    uri = f"sqlite:///{tmp_path}/jobs.db"
    monkeypatch.setenv("SUBPROBE_TILED__URI", tiled_server.uri)
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", tiled_server.api_key)
    monkeypatch.setenv("SUBPROBE_RECONSTRUCTION__DATABASE_URI", uri)
    store = JobStore(uri)
    yield Pruning(tiled_connection, store, series_keys[0], tiled_server.raw_folder)
    store.close()


def test_a_dry_run_tells_what_would_go_and_only_yes_removes_it_and_raw_data_never(pruning: Pruning) -> None:
    old, newest = pruning.volume(100), pruning.volume(95)
    unfinished, running = pruning.volume(0, is_complete=False), pruning.volume(100, is_complete=False)
    pruning.store.cancel(unfinished)
    publish_worker(pruning.catalog, "worker-9", {})
    merge_metadata(pruning.catalog.processed["workers", "worker-9"], {"published_at": time.time() - 100 * DAY_S})
    raw = pruning.raw()
    enhanced = read_stack(pruning.catalog, pruning.series_key, "enhanced", "Zn")

    told = pruning.run()
    assert told.exit_code == 0, told.output
    assert f"would go /processed/{pruning.series_key}/volumes/{old}, 2.0 kB (" in told.output
    assert "on disk): 100 days old, and the series has a newer one" in told.output
    assert "unfinished, and its job has cancelled" in told.output
    assert "/processed/workers/worker-9" in told.output
    assert "nothing was removed: add --yes" in told.output
    assert pruning.there() == {old, newest, unfinished, running}

    assert pruning.run("--yes").exit_code == 0
    assert pruning.there() == {newest, running}
    assert published_workers(pruning.catalog) == []
    assert pruning.raw() == raw
    assert read_volume(pruning.catalog, pruning.series_key, newest, "Zn").sum() == 512
    np.testing.assert_array_equal(read_stack(pruning.catalog, pruning.series_key, "enhanced", "Zn"), enhanced)
    assert pruning.run("--yes").output.splitlines()[-1] == "nothing to remove"


def test_enhanced_maps_of_a_series_go_when_asked_for_and_what_was_measured_stays(
    pruning: Pruning, series_keys: list[str]
) -> None:
    catalog, key, raw = pruning.catalog, series_keys[1], pruning.raw()
    volume = replace(pruning, series_key=key).volume(500)
    fitted = read_stack(catalog, key, "fitted", "Zn")
    assert "6 places; nothing was removed" in pruning.run("--series", key).output
    done = pruning.run("--series", key, "--yes")
    assert done.exit_code == 0, done.output
    with pytest.raises(NotFoundError, match="has no enhanced maps"):
        read_stack(catalog, key, "enhanced", "Zn")
    np.testing.assert_array_equal(read_stack(catalog, key, "fitted", "Zn"), fitted)
    assert find_series(catalog, key).done_angles == (0,)
    assert [one.job_id for one in list_volumes(catalog, key)] == [volume]
    assert pruning.raw() == raw


def test_what_is_none_of_ours_or_cannot_be_computed_again_is_refused(pruning: Pruning) -> None:
    volumes = ensure_container(pruning.catalog.processed[pruning.series_key], "volumes")
    ensure_container(volumes, "of-somebody", {"state": "writing"})
    with pytest.raises(CatalogError, match="is no SubprobeVolume: it stays"):
        remove_volume(pruning.catalog, pruning.series_key, "of-somebody")
    with pytest.raises(CatalogError, match="cannot be computed again"):
        remove_enhanced(pruning.catalog, pruning.series_key, "projections")
    assert pruning.run("--older-than-days", "0", "--yes").output.splitlines()[-1] == "nothing to remove"
    assert "of-somebody" in pruning.there()


def test_a_series_that_is_measured_keeps_its_maps(pruning: Pruning) -> None:
    (record,) = pruning.catalog.processed[pruning.series_key, "projections"].values()
    merge_metadata(record, {"state": "writing"})
    refused = pruning.run("--series", pruning.series_key, "--yes")
    merge_metadata(record, {"state": "complete"})
    assert isinstance(refused.exception, CatalogError)
    assert "0 of 1 angles are done" in str(refused.exception)


def test_without_the_job_table_unfinished_volumes_stay(pruning: Pruning, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished = pruning.volume(500, is_complete=False)
    monkeypatch.delenv("SUBPROBE_RECONSTRUCTION__DATABASE_URI")
    told = pruning.run("--yes")
    assert "unfinished volumes stay: no job table is known" in told.output
    assert pruning.there() == {unfinished}
