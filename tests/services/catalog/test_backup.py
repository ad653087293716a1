import json
from uuid import uuid4

import numpy as np
import pytest

from services.catalog.backup import BackupRestorer, restore_backups
from services.catalog.runs import finished_projections, read_projection


@pytest.fixture
def backup(tmp_path):
    """The folder of the backups."""
    return tmp_path


def test_a_run_that_tiled_lost_half_way_is_written_whole(catalog, run_writer, projection_start, backup):
    run_writer.write(projection_start, exit_status=None)
    documents = run_writer.documents
    uid = documents[0][1]["uid"]
    _save(backup, [*documents, ("stop", _stop(uid))])

    assert restore_backups(catalog, backup) == [uid]

    projection = read_projection(catalog, uid)
    assert projection.spectra.shape == (4, 5, 1, 1024)
    assert projection.spectra.sum() > 0
    assert [run.run_uid for run in finished_projections(catalog)] == [uid]
    assert restore_backups(catalog, backup) == []


def test_a_run_that_tiled_never_saw_is_written_after_the_next_one(catalog, run_writer, projection_start, backup):
    uid = run_writer.write(projection_start, seed=3)
    measured = read_projection(catalog, uid).spectra
    catalog.raw.delete_contents(uid, recursive=True, external_only=False)
    _save(backup, run_writer.documents)

    restorer = BackupRestorer(catalog, backup)
    restorer("start", {})
    assert list(finished_projections(catalog)) == []
    restorer("stop", {})

    np.testing.assert_array_equal(read_projection(catalog, uid).spectra, measured)


def test_a_run_without_its_end_stays_where_it_is(catalog, run_writer, projection_start, backup, everything):
    run_writer.write(projection_start, leave_out=everything, exit_status=None)
    path = _save(backup, run_writer.documents)

    assert restore_backups(catalog, backup) == []
    assert path.exists()


def _save(folder, documents):
    path = folder / "run.jsonl"
    path.write_text("\n".join(json.dumps({"name": name, "doc": document}) for name, document in documents) + "\n")
    return path


def _stop(run_uid):
    return {
        "uid": str(uuid4()),
        "run_start": run_uid,
        "time": 2.0e9,
        "exit_status": "success",
        "num_events": {"xrf": 4},
    }
