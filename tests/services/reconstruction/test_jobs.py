"""The job table: one job, one worker, and none is ever lost or runs for ever."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from postgres_server import PostgresServer, running_postgres

from services.reconstruction.jobs import MOST_ATTEMPTS, JobStore, UnknownJobError

SHORT_LEASE_S = 0.05


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server, and a database of its own for each test."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"jobs_{uuid4().hex}"
    server.psql("-c", f"CREATE DATABASE {name}")
    return server.uri(name)


@pytest.fixture
def store(database_uri: str) -> Iterator[JobStore]:
    opened = JobStore(database_uri, lease_s=30)
    yield opened
    opened.close()


@pytest.fixture
def forgetful_store(database_uri: str) -> Iterator[JobStore]:
    """Its leases end almost at once, as if every worker died."""
    opened = JobStore(database_uri, lease_s=SHORT_LEASE_S)
    yield opened
    opened.close()


def test_several_workers_never_get_the_same_job(store: JobStore) -> None:
    asked = {store.create("series", {"n": n}).id for n in range(20)}
    with ThreadPoolExecutor(8) as workers:
        claims = list(workers.map(lambda n: store.claim(f"worker-{n % 8}"), range(30)))
    claimed = [job.id for job in claims if job is not None]
    assert len(claimed) == 20
    assert set(claimed) == asked


def test_the_oldest_job_is_done_first(store: JobStore) -> None:
    first, second = store.create("series", {}), store.create("series", {})
    assert [job.id for job in (store.claim("w"), store.claim("w")) if job] == [first.id, second.id]


def test_a_job_whose_worker_died_is_taken_by_another(forgetful_store: JobStore) -> None:
    forgetful_store.create("series", {})
    lost = forgetful_store.claim("dead")
    assert lost is not None
    time.sleep(2 * SHORT_LEASE_S)
    taken = forgetful_store.claim("alive")
    assert taken is not None
    assert (taken.id, taken.attempts, taken.worker) == (lost.id, 2, "alive")
    assert not forgetful_store.renew(lost)
    forgetful_store.fail(lost, "a word too late")
    assert forgetful_store.get(lost.id).state == "running"


def test_a_renewed_lease_keeps_the_job(store: JobStore) -> None:
    store.create("series", {})
    job = store.claim("w")
    assert job is not None
    assert store.renew(job)
    assert store.get(job.id).due_at > job.due_at
    assert store.claim("another") is None


def test_a_job_that_kills_its_worker_again_and_again_fails(forgetful_store: JobStore) -> None:
    job = forgetful_store.create("series", {})
    for _ in range(MOST_ATTEMPTS):
        assert forgetful_store.claim("w") is not None
        time.sleep(2 * SHORT_LEASE_S)
    assert forgetful_store.claim("w") is None
    ended = forgetful_store.get(job.id)
    assert ended.state == "failed"
    assert f"died {MOST_ATTEMPTS} times" in str(ended.error)


def test_a_cancelled_job_whose_worker_died_is_not_begun_again(forgetful_store: JobStore) -> None:
    job = forgetful_store.create("series", {})
    forgetful_store.claim("dead")
    assert forgetful_store.cancel(job.id).state == "running"
    time.sleep(2 * SHORT_LEASE_S)
    assert forgetful_store.claim("alive") is None
    assert forgetful_store.get(job.id).state == "cancelled"


def test_a_waiting_job_is_cancelled_at_once_and_never_begun(store: JobStore) -> None:
    job = store.create("series", {})
    assert store.cancel(job.id).state == "cancelled"
    assert store.claim("w") is None


def test_cancelling_a_running_job_is_seen_by_its_worker(store: JobStore) -> None:
    store.create("series", {})
    job = store.claim("w")
    assert job is not None
    assert store.cancel(job.id).state == "running"
    assert not store.renew(job)
    assert store.end_cancelled(job)
    assert store.get(job.id).state == "cancelled"


def test_a_job_that_nobody_cancelled_is_not_ended_so(store: JobStore) -> None:
    store.create("series", {})
    job = store.claim("w")
    assert job is not None
    assert not store.end_cancelled(job)
    assert store.get(job.id).state == "running"


def test_a_job_given_back_is_due_again_and_the_attempt_does_not_count(store: JobStore) -> None:
    store.create("series", {})
    job = store.claim("w")
    assert job is not None
    store.give_back(job, "stopping")
    again = store.claim("w")
    assert again is not None
    assert again.attempts == 1
    store.give_back(again, "waiting for Tiled", wait_s=60)
    assert store.claim("w") is None


def test_every_visible_change_is_counted(store: JobStore) -> None:
    store.create("series", {})
    job = store.claim("w")
    assert job is not None
    store.report(job, 0.5, "half")
    store.succeed(job, {"path": "somewhere"})
    done = store.get(job.id)
    assert (done.state, done.progress, done.result) == ("succeeded", 1.0, {"path": "somewhere"})
    assert done.revision == job.revision + 2
    assert done.finished_at is not None
    assert done.finished_at.tzinfo is not None


def test_pages_hold_only_what_was_asked_for_newest_first(store: JobStore) -> None:
    ids = [store.create("a" if n % 2 else "b", {}).id for n in range(6)]
    jobs, total = store.page({"a"}, limit=2)
    assert ([job.id for job in jobs], total) == ([ids[5], ids[3]], 3)
    assert [job.id for job in store.page({"a"}, offset=2)[0]] == [ids[1]]
    assert store.page({"a", "b"}, "running") == ([], 0)
    assert store.page(frozenset()) == ([], 0)


def test_jobs_outlive_the_process(database_uri: str) -> None:
    before = JobStore(database_uri)
    job = before.create("series", {"algorithm": "fbp", "centre": 12.5, "elements": ["Zn"], "angles": None})
    before.close()
    after = JobStore(database_uri)
    assert after.get(job.id) == job
    with pytest.raises(UnknownJobError):
        after.get("another")
    after.close()
