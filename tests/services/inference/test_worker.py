import time
from dataclasses import replace

import numpy as np
import pytest

from models.physics.probe import gaussian_probe
from models.run_schema import I0
from models.superres.enhancer import NOT_CALIBRATED
from models.superres.enhancers import make_enhancer
from services.catalog.backlog import Backlog
from services.catalog.parking import parked_runs, retry_runs
from services.catalog.probes import import_probe, read_probe
from services.catalog.products import (
    find_series,
    list_series,
    read_consistency,
    read_lineage,
    read_sigma,
    read_stack,
    read_trust,
)
from services.catalog.runs import read_projection
from services.inference.recipe import enhance_projection, fit_projection, judge_projection
from services.inference.status import read_statuses


class FailingEnhancer:
    """Enhances like bicubic, but cannot bear a masked point."""

    name = "failing"
    digest = "0"
    calibration = NOT_CALIBRATED

    def enhance(self, coarse, probe, motion, scale):
        if not coarse.mask.all():
            raise RuntimeError("a point is masked")
        return make_enhancer("bicubic").enhance(coarse, probe, motion, scale)


@pytest.fixture
def start(projection_start):
    """Of a series of one element and two angles."""
    return replace(projection_start, elements=("Zn",), n_angles=2, angles_deg=(-60.0, 60.0))


def test_backlog_and_live_projections_of_two_series_become_what_the_recipe_makes_of_them_once(
    catalog, run_writer, start, probe, start_worker
):
    other = replace(start, series_uid="00000000-1111-4000-8000-000000000002", probe=probe)
    runs = {(one.series_uid, 1): run_writer.write(replace(one, angle_index=1), seed=1) for one in (start, other)}
    with start_worker() as worker:
        worker.until_done(2)
    first = read_lineage(catalog, start.series_uid, 1)
    with start_worker() as worker:
        runs |= {(one.series_uid, 0): run_writer.write(one, seed=2) for one in (other, start)}
        worker.until_done(2)

    keys = {record.series_uid: record.key for record in list_series(catalog) if record.state == "complete"}
    assert len(keys) == 2
    assert read_lineage(catalog, start.series_uid, 1) == first
    for (series_uid, index), run_uid in runs.items():
        for name, (read, values) in _expected(catalog, run_uid, probe).items():
            np.testing.assert_array_equal(read(catalog, keys[series_uid], index), values, err_msg=name)


def test_an_angle_taken_again_is_replaced_whatever_the_order(catalog, run_writer, start, probe, start_worker):
    late = run_writer.write(start, seed=1, time=2.0e9, rows=3)
    run_writer.write(start, seed=2, time=1.0e9)
    with start_worker() as worker:
        worker.until(lambda: worker.status_file.status.n_done and not list(Backlog(catalog).waiting()))

    lineage = read_lineage(catalog, start.series_uid, 0)
    assert (lineage["run_uid"], lineage["state"], lineage["probe"]["key"]) == (late, "complete", probe)
    assert lineage["quality"]["masked_points"] == 5
    assert set(lineage["seconds"]) == {"open", "read", "fit", "enhance", "write", "judge"}
    read, values = _expected(catalog, late, probe)["fitted"]
    np.testing.assert_array_equal(read(catalog, start.series_uid, 0), values)


def test_malformed_runs_are_rejected_for_people_to_see_and_the_worker_lives(
    catalog, run_writer, start, probe, start_worker, tmp_path
):
    assert probe
    bad = {
        run_writer.write(start, leave_out=(I0,)): "has no i0",
        run_writer.write(replace(start, elements=("Xx",), series_uid="another")): "Xx",
    }
    with start_worker() as worker:
        worker.until(lambda: worker.status_file.status.n_rejected == len(bad))
        run_writer.write(replace(start, angle_index=1))
        worker.until_done(1)

    assert parked_runs(catalog).keys() == bad.keys()
    for uid, reason in bad.items():
        assert reason in parked_runs(catalog)[uid].reason
    (status,) = read_statuses(tmp_path)
    assert (status.n_rejected, status.n_done, status.n_failed) == (2, 1, 0)
    assert "has no i0" in read_lineage(catalog, start.series_uid, 0)["error"]


def test_a_series_says_that_it_waits_for_a_probe_and_goes_on_when_there_is_one(
    catalog, run_writer, start, start_worker
):
    run_writer.write(start)
    with start_worker() as worker:
        worker.until(lambda: "subprobe probe import" in worker.status_file.status.waiting_for)
        waiting = find_series(catalog, start.series_uid)
        assert "waiting for a probe" in waiting.metadata["waiting"]
        assert waiting.done_angles == ()
        import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "late")
        worker.until_done(1)

    assert "waiting" not in find_series(catalog, start.series_uid).metadata
    assert worker.status_file.status.waiting_for == ""


def test_a_projection_that_fails_again_and_again_is_given_up_and_others_are_not(
    catalog, run_writer, start, probe, start_worker
):
    assert probe
    run_writer.write(start, rows=3)
    run_writer.write(replace(start, angle_index=1))
    with start_worker(FailingEnhancer()) as worker:
        worker.until(lambda: worker.status_file.status.n_failed == 1)
        worker.until_done(1)

    failed = read_lineage(catalog, start.series_uid, 0)
    assert (failed["state"], failed["error"]) == ("failed", "RuntimeError: a point is masked")
    ((uid, parked),) = parked_runs(catalog).items()
    assert parked.reason == "given up after 3 tries: RuntimeError: a point is masked"
    with start_worker() as worker:
        time.sleep(1)
        assert worker.status_file.status.n_done == 0, "a restart alone does not try it again"
        assert retry_runs(catalog) == [uid]
        worker.until_done(1)
    again = read_lineage(catalog, start.series_uid, 0)
    assert again["state"] == "complete"
    assert "error" not in again


def test_a_fine_partner_scan_is_fitted_and_kept_apart(catalog, run_writer, start, probe, start_worker):
    assert probe
    coarse = run_writer.write(start)
    fine_start = replace(
        start, purpose="fine", paired_run_uid=coarse, scan=replace(start.scan, shape=(8, 10), step_nm=60.0)
    )
    fine = run_writer.write(fine_start, seed=5)
    with start_worker() as worker:
        worker.until_done(2)

    assert find_series(catalog, start.series_uid).done_angles == (0,)
    key = find_series(catalog, start.series_uid).key
    np.testing.assert_array_equal(
        catalog.processed[key, "fine", "Zn"].read()[0], fit_projection(read_projection(catalog, fine)).values[0]
    )


def _expected(catalog, run_uid, probe):
    """What the recipe makes of a run, by source, with how to read what the worker wrote."""
    raw = read_projection(catalog, run_uid)
    maps = fit_projection(raw)
    beam, enhancer = read_probe(catalog, probe), make_enhancer("bicubic")
    enhanced = enhance_projection(maps, raw, beam, enhancer, 2)
    trust = judge_projection(maps, enhanced, raw, beam, enhancer)
    return {
        "fitted": (_reader(read_stack, "fitted"), maps.values),
        "fitted_sigma": (_reader(read_sigma, "fitted"), np.sqrt(maps.variance)),
        "enhanced": (_reader(read_stack, "enhanced"), enhanced.values),
        "enhanced_sigma": (_reader(read_sigma, "enhanced"), enhanced.sigma),
        "consistency": (_reader(read_consistency), enhanced.consistency),
        **{
            name: (_reader(read_trust, name), getattr(trust, name))
            for name in ("supported", "supported_sigma", "denial")
        },
    }


def _reader(read, *source):
    return lambda catalog, key, index: read(catalog, key, *source, "Zn", [index])
