import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from uuid import uuid4

import numpy as np
import pytest

from services.catalog.angle_records import claim_angle, fail_angle
from services.catalog.backlog import Backlog
from services.catalog.claims import MOST_TURNS, Claims, Hold, Refusal
from services.catalog.parking import park_run
from services.catalog.products import find_series
from services.catalog.records import WornOutError
from services.catalog.writing import write_coarse

_N_ANGLES = 24
_LEASE_S = 0.4


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
def worker():
    """Makes the claims of one more worker."""
    numbers, made = count(1), []

    def make():
        made.append(Claims(f"worker-{next(numbers)}", _LEASE_S))
        return made[-1]

    yield make
    for claims in made:
        claims.close()


@pytest.fixture
def start(series_start, unused_angles):
    """Of a projection at an angle of its own."""
    return replace(series_start, angle_index=next(unused_angles))


def test_maps_are_done_when_they_are_committed_and_not_before(tiled_connection, products, series, start):
    hold = products.claim(series, start, "run", 1.0)
    write_coarse(series, start.angle_index, *products.maps(start, 1.0))
    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles

    assert products.commit(series, start, hold, "run", 1.0)
    assert start.angle_index in find_series(tiled_connection, series.key).done_angles


def test_an_angle_that_no_plan_listed_is_learned_as_it_is_measured(tiled_connection, products, series, start):
    products.write(series, replace(start, theta_deg=12.5), "run")

    index = start.angle_index
    assert find_series(tiled_connection, series.key).angles_deg[index] == 12.5
    assert np.isnan(find_series(tiled_connection, series.key).angles_deg[_N_ANGLES - 1])
    assert series.container["angles_deg"].read()[index] == np.float32(12.5)


def test_of_two_runs_of_one_angle_the_later_one_wins_in_either_order(products, series, start, worker):
    products.write(series, start, "early", run_time=1.0)
    assert products.commit(series, start, products.claim(series, start, "late", 2.0), "late", 2.0)

    assert claim_angle(series, start, "early", 1.0, worker()) is Refusal.SETTLED
    assert claim_angle(series, start, "late", 2.0, worker()) is Refusal.SETTLED


def test_an_angle_taken_again_is_not_done_while_it_is_rewritten(tiled_connection, products, series, start, worker):
    products.write(series, start, "early", run_time=1.0)
    assert isinstance(claim_angle(series, start, "late", 2.0, worker()), Hold)

    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles


def test_a_later_run_that_failed_leaves_the_angle_to_the_earlier_one(series, start, worker):
    assert isinstance(claim_angle(series, start, "late", 2.0, worker()), Hold)
    fail_angle(series, start, "late", "no good")

    assert isinstance(claim_angle(series, start, "early", 1.0, worker()), Hold)


def test_a_projection_is_given_to_one_worker_and_again_to_it_after_a_restart(series, start, worker):
    first, second = worker(), worker()
    assert isinstance(claim_angle(series, start, "run", 1.0, first), Hold)
    assert claim_angle(series, start, "run", 1.0, second) is Refusal.ELSEWHERE
    assert isinstance(claim_angle(series, start, "run", 1.0, first), Hold)


def test_the_claim_of_a_dead_worker_lapses_and_that_of_a_living_one_does_not(products, series, start, worker):
    living, dead, other = worker(), worker(), worker()
    hold = claim_angle(series, start, "run", 1.0, living)
    for _ in range(4):
        assert claim_angle(series, start, "run", 1.0, other) is Refusal.ELSEWHERE
        time.sleep(_LEASE_S / 2)
    assert products.commit(series, start, hold, "run", 1.0)

    assert isinstance(claim_angle(series, start, "later", 2.0, dead), Hold)
    dead.close()
    assert claim_angle(series, start, "later", 2.0, other) is Refusal.ELSEWHERE
    other.forget_others()  # Tiled was away meanwhile
    time.sleep(_LEASE_S)
    assert claim_angle(series, start, "later", 2.0, other) is Refusal.ELSEWHERE
    time.sleep(_LEASE_S)
    assert isinstance(claim_angle(series, start, "later", 2.0, other), Hold)


def test_a_heart_beats_beside_the_record_and_never_writes_into_it(series, start, worker):
    hold = claim_angle(series, start, "run", 1.0, worker())
    claimed = dict(hold.record().metadata)
    time.sleep(_LEASE_S)

    assert dict(hold.record().metadata) == claimed
    assert hold.record()[str(hold.turn)].metadata["beats"] >= 1


def test_a_worker_taken_for_dead_does_not_complete_what_another_took_over(
    tiled_connection, products, series, start, worker
):
    slow, other = worker(), worker()
    lost = claim_angle(series, start, "run", 1.0, slow)
    slow.close()
    assert claim_angle(series, start, "run", 1.0, other) is Refusal.ELSEWHERE
    time.sleep(_LEASE_S)
    hold = claim_angle(series, start, "run", 1.0, other)

    assert not products.commit(series, start, lost, "run", 1.0)
    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles
    assert products.commit(series, start, hold, "run", 1.0)


def test_of_many_workers_that_ask_at_once_one_is_granted_it_at_every_turn(series, start, worker):
    workers = [worker() for _ in range(6)]
    for turn in range(2):
        with ThreadPoolExecutor(len(workers)) as threads:
            holds = list(threads.map(lambda claims: claim_angle(series, start, "run", 1.0, claims), workers))
        granted = [index for index, hold in enumerate(holds) if isinstance(hold, Hold)]
        assert len(granted) == 1, turn
        workers.pop(granted[0]).give_back(holds[granted[0]])


def test_what_was_begun_again_and_again_and_never_ended_is_given_up(series, start, worker):
    claims = worker()
    for _ in range(MOST_TURNS + 1):
        assert isinstance(claim_angle(series, start, "run", 1.0, claims), Hold)
    with pytest.raises(WornOutError, match="begun 13 times and never ended, last by"):
        claim_angle(series, start, "run", 1.0, claims)


def test_a_fine_partner_does_not_settle_its_coarse_scan(series, start, worker):
    fine = replace(start, purpose="fine")
    assert isinstance(claim_angle(series, fine, "fine", 2.0, worker()), Hold)
    assert isinstance(claim_angle(series, start, "coarse", 1.0, worker()), Hold)


def test_a_worker_overtaken_by_a_later_run_has_that_one_done_again(
    tiled_connection, products, series, run_writer, start, everything
):
    late = run_writer.write(start, time=2.0, leave_out=everything)
    hold = products.claim(series, start, "early", 1.0)
    products.write(series, start, late, run_time=2.0)
    assert late not in _waiting(tiled_connection)

    assert not products.commit(series, start, hold, "early", 1.0)
    assert start.angle_index in find_series(tiled_connection, series.key).missing_angles
    assert late in _waiting(tiled_connection)


def test_what_is_done_or_parked_does_not_wait(tiled_connection, products, series, run_writer, start, everything):
    done, retaken, parked = (run_writer.write(start, time=time, leave_out=everything) for time in (2.0, 1.0, 3.0))
    assert {done, retaken, parked} <= _waiting(tiled_connection)

    park_run(tiled_connection, parked, "no good")
    products.write(series, start, done, run_time=2.0)

    assert not {done, retaken, parked} & _waiting(tiled_connection)


def _waiting(catalog):
    return {run.run_uid for run in Backlog(catalog).waiting()}


def test_runs_of_a_series_whose_maker_died_half_way_still_wait(catalog, products, projection_start, run_writer):
    """Killed after the series and before the container of its records: every later look used to fail there."""
    start = replace(projection_start, series_uid=str(uuid4()), elements=("Zn",))
    run_uid = run_writer.write(start, seed=1)
    products.open(start).container.delete_contents("projections", recursive=True, external_only=False)
    assert run_uid in [run.run_uid for run in Backlog(catalog).waiting()]
