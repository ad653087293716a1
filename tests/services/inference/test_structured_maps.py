"""A worker before a real Tiled makes maps of structured-illumination runs, once, and parks what gives none."""

import threading

import numpy as np
import pytest
from structured_runs import measured_structure

from models.run_schema import SPECTRA
from services.catalog.backlog import Backlog
from services.catalog.claims import Claims
from services.catalog.parking import parked_runs
from services.catalog.runs import FinishedRun
from services.catalog.single_pixel import find_single_pixel, read_product
from services.inference.long_runs import LongRuns
from services.inference.processing import Outcome
from services.inference.status import StatusFile
from services.monitoring.worker_metrics import WorkerMetrics
from services.settings import WorkerSettings


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """60 patterns of 16 x 16 pixels of 200 nm."""
    folder = tmp_path_factory.mktemp("raw")
    return measured_structure(folder, n_patterns=60, shape=(16, 16), pixel_size_nm=200.0, phases=("LiCoO2", "LiNiO2"))


def test_a_run_becomes_maps_once_and_one_without_spectra_is_parked(catalog, run_writer, measured, start_worker):
    uid = run_writer.write_structured(measured.start, measured.streams)
    without = {"xrf": {key: values for key, values in measured.streams["xrf"].items() if key != SPECTRA}}
    with start_worker() as worker:
        worker.until(lambda: worker.status_file.status.n_mapped == 1)
        hopeless = run_writer.write_structured(measured.start, without)
        worker.until(lambda: worker.status_file.status.n_rejected == 1)
    record = find_single_pixel(catalog, uid)
    assert record.state == "complete"
    assert record.key == f"8-mixed-cathode-{uid[:8]}"
    for name in ("method", "notes", "quality", "patterns", "registration", "phase_fractions", "seconds", "software"):
        assert name in record.metadata
    assert record.metadata["registration"]["n_registered"] == 60
    for group in ("maps", "sigma"):
        for element in measured.start.elements:
            assert np.isfinite(read_product(catalog, record.key, group, element)).all()
    co = read_product(catalog, record.key, "maps", "Co")
    assert np.corrcoef(co.ravel(), measured.true_maps[1].ravel())[0, 1] > 0.8
    assert "has no xrf_spectra" in parked_runs(catalog)[hopeless].reason
    assert find_single_pixel(catalog, hopeless).state == "failed"
    assert not list(Backlog(catalog).waiting_structured_runs())


def test_a_stop_breaks_it_off_and_a_restart_writes_the_same(catalog, run_writer, measured, tmp_path):
    uid = run_writer.write_structured(measured.start, measured.streams)
    run = FinishedRun.from_metadata(uid, catalog.raw[uid].metadata)
    stop, settings = threading.Event(), WorkerSettings(name="worker-1")
    claims = Claims(settings.name)
    status = StatusFile(tmp_path, settings.name)
    runs = LongRuns(catalog, claims, settings, status, stop, WorkerMetrics())
    stop.set()
    assert runs.work_on(run) is Outcome.ELSEWHERE
    assert find_single_pixel(catalog, uid).state == "writing"
    stop.clear()
    assert runs.work_on(run) is Outcome.MAPPED
    record = find_single_pixel(catalog, uid)
    first = read_product(catalog, record.key, "maps", "Ni")
    assert "run" in status.status.doing
    record_node = catalog.processed[record.key]
    record_node.update_metadata({**record_node.metadata, "state": "writing"})
    record_node["record"].update_metadata({**record_node["record"].metadata, "state": "failed"})
    assert runs.work_on(run) is Outcome.MAPPED
    np.testing.assert_array_equal(read_product(catalog, record.key, "maps", "Ni"), first)
    assert runs.work_on(run) is Outcome.SETTLED
    claims.close()
