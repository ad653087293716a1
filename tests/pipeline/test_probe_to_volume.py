"""No true probe is given anywhere: the series' own ptychography run makes it known, and all the rest follows."""

import time

import httpx
import numpy as np
import pytest
from running_service import serve
from simulated_ptychography import registered

from services.beamline.session import open_session
from services.catalog.probes import list_probes
from services.catalog.products import find_series, read_lineage, read_stack
from services.catalog.volumes import read_volume
from services.stack.demo_probe import compare_with_true_probe

_N_ANGLES = 4


@pytest.mark.timeout(400)
def test_a_series_is_enhanced_with_the_probe_of_its_own_ptychography_run(tiled, worker_process, wait_until_done):
    session = open_session(tiled.settings(), call_returns_result=True)
    plan = session.plans["coarse_flyscan_tomo"]
    angles_deg = list(np.arange(_N_ANGLES) * 180.0 / _N_ANGLES)
    with worker_process(tiled.settings()):
        result = session.RE(
            plan(sample="unknown probe", angles_deg=angles_deg, fov_um=[0.96, 0.96], step_nm=120.0, probe_scan=True)
        ).plan_result
        wait_until_done(session.catalog, result.series_uid, _N_ANGLES)

    (record,) = list_probes(session.catalog)
    assert (record.run_uid, record.warnings) == (result.probe_run_uid, ())
    assert record.optics == session.beamline.optics
    assert sorted(session.catalog.probes[record.key]) == ["amplitude", "kernel", "object_phase", "phase"]
    figures = record.metadata["lineage"]["ptychography"]
    assert figures["reliable"]
    assert figures["model"] == "source"
    comparison = compare_with_true_probe(session.catalog, record, session.beamline.probe)
    correlation, error = registered(comparison.found, comparison.true)
    assert correlation > 0.998, (correlation, error)

    series = find_series(session.catalog, result.series_uid)
    assert series.state == "complete"
    assert "waiting" not in series.metadata
    for index in range(_N_ANGLES):
        lineage = read_lineage(session.catalog, result.series_uid, index)
        assert lineage["probe"] == {"key": record.key, "digest": record.digest}
        assert np.isfinite(read_stack(session.catalog, series.key, "enhanced", series.elements[0], [index])).all()

    job = _reconstructed(tiled.settings(), series.key, series.elements[0])
    assert job["state"] == "succeeded", job["error"]
    volume = read_volume(session.catalog, series.key, job["id"], series.elements[0])
    assert volume.shape == (32, 32, 32)
    assert volume.max() > 0
    session.catalog.close()


def _reconstructed(settings, series_key, element):
    """An ended job of the reconstruction service."""
    headers = {"X-Api-Key": settings.tiled.api_key.get_secret_value()}
    with serve(settings) as address, httpx.Client(base_url=f"{address}/api/v1", headers=headers) as service:
        wanted = {
            "series": series_key,
            "elements": [element],
            "parameters": {"n_iterations": 2},
            "fsc": False,
            "centre": 16.0,
        }
        job = service.post("/reconstructions", json=wanted).json()
        deadline = time.monotonic() + 90
        while job["state"] not in ("succeeded", "failed") and time.monotonic() < deadline:
            time.sleep(0.5)
            job = service.get(f"/reconstructions/{job['id']}").json()
        return job
