from dataclasses import replace
from itertools import count
from uuid import uuid4

import numpy as np
import pytest

from services.catalog.angle_records import Claim, claim_angle, fail_angle
from services.catalog.backlog import Backlog, reject_run
from services.catalog.products import find_series
from services.catalog.writing import write_coarse

_N_ANGLES = 16


@pytest.fixture(scope="module")
def series_start(projection_start, run_writer, everything):
    """Of a series with an angle for every test here."""
    start = replace(projection_start, series_uid=str(uuid4()), n_angles=_N_ANGLES, elements=("Zn",), angles_deg=())
    run_writer.write(start, leave_out=everything, exit_status="abort")
    return start


@pytest.fixture(scope="module")
def series(products, series_start):
    """That series, opened for writing."""
    return products.open(series_start)


@pytest.fixture(scope="module")
def unused_angles():
    """Indices of angles that no test has used."""
    return count()


@pytest.fixture
def start(series_start, unused_angles):
    """Of a projection at an angle of its own."""
    return replace(series_start, angle_index=next(unused_angles))


def test_maps_are_done_when_they_are_committed_and_not_before(tiled_connection, products, series, start):
    assert claim_angle(series, start, "run", 1.0, "worker-1") is Claim.MINE
    write_coarse(series, start.angle_index, *products.maps(start, 1.0))
    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles

    assert products.commit(series, start, "run", 1.0)
    assert start.angle_index in find_series(tiled_connection, series.key).done_angles


def test_an_angle_that_no_plan_listed_is_learned_as_it_is_measured(tiled_connection, products, series, start):
    products.write(series, replace(start, theta_deg=12.5), "run")

    index = start.angle_index
    assert find_series(tiled_connection, series.key).angles_deg[index] == 12.5
    assert np.isnan(find_series(tiled_connection, series.key).angles_deg[_N_ANGLES - 1])
    assert series.container["angles_deg"].read()[index] == np.float32(12.5)


def test_of_two_runs_of_one_angle_the_later_one_wins_in_either_order(products, series, start):
    products.write(series, start, "early", run_time=1.0)
    assert claim_angle(series, start, "late", 2.0, "worker-1") is Claim.MINE
    assert products.commit(series, start, "late", 2.0)

    assert claim_angle(series, start, "early", 1.0, "worker-1") is Claim.SETTLED
    assert claim_angle(series, start, "late", 2.0, "worker-1") is Claim.SETTLED


def test_an_angle_taken_again_is_not_done_while_it_is_rewritten(tiled_connection, products, series, start):
    products.write(series, start, "early", run_time=1.0)
    assert claim_angle(series, start, "late", 2.0, "worker-1") is Claim.MINE

    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles


def test_a_later_run_that_failed_leaves_the_angle_to_the_earlier_one(series, start):
    assert claim_angle(series, start, "late", 2.0, "worker-1") is Claim.MINE
    fail_angle(series, start, "late", "no good")

    assert claim_angle(series, start, "early", 1.0, "worker-1") is Claim.MINE


def test_a_projection_is_given_to_one_worker_and_again_to_it_after_a_restart(series, start):
    assert claim_angle(series, start, "run", 1.0, "worker-1") is Claim.MINE
    assert claim_angle(series, start, "run", 1.0, "worker-2") is Claim.ELSEWHERE
    assert claim_angle(series, start, "run", 1.0, "worker-1") is Claim.MINE


def test_the_claim_of_a_dead_worker_lapses(series, start, monkeypatch):
    assert claim_angle(series, start, "run", 1.0, "worker-1") is Claim.MINE
    monkeypatch.setattr("services.catalog.angle_records._CLAIM_LASTS_S", 0.0)

    assert claim_angle(series, start, "run", 1.0, "worker-2") is Claim.MINE


def test_a_fine_partner_does_not_settle_its_coarse_scan(series, start):
    fine = replace(start, purpose="fine")
    assert claim_angle(series, fine, "fine", 2.0, "worker-1") is Claim.MINE
    assert claim_angle(series, start, "coarse", 1.0, "worker-1") is Claim.MINE


def test_a_worker_overtaken_by_a_later_run_has_that_one_done_again(
    tiled_connection, products, series, run_writer, start, everything
):
    late = run_writer.write(start, time=2.0, leave_out=everything)
    assert claim_angle(series, start, "early", 1.0, "worker-1") is Claim.MINE
    products.write(series, start, late, run_time=2.0)
    assert late not in _waiting(tiled_connection)

    assert not products.commit(series, start, "early", 1.0)
    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles
    assert late in _waiting(tiled_connection)


def test_what_is_done_or_rejected_does_not_wait(tiled_connection, products, series, run_writer, start, everything):
    done, retaken, rejected = (run_writer.write(start, time=time, leave_out=everything) for time in (2.0, 1.0, 3.0))
    assert {done, retaken, rejected} <= _waiting(tiled_connection)

    reject_run(tiled_connection, rejected, "no good")
    products.write(series, start, done, run_time=2.0)

    assert not {done, retaken, rejected} & _waiting(tiled_connection)


def _waiting(catalog):
    return {run.run_uid for run in Backlog(catalog).waiting()}


def test_runs_of_a_series_whose_maker_died_half_way_still_wait(catalog, products, projection_start, run_writer):
    """Killed after the series and before the container of its records: every later look used to fail there."""
    start = replace(projection_start, series_uid=str(uuid4()), elements=("Zn",))
    run_uid = run_writer.write(start, seed=1)
    products.open(start).container.delete_contents("projections", recursive=True, external_only=False)
    assert run_uid in [run.run_uid for run in Backlog(catalog).waiting()]
