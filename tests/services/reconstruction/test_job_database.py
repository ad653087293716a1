"""The job table on a real PostgreSQL that several replicas share, and that goes away now and then."""

import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from postgres_server import SUPERUSER_PASSWORD, PostgresServer, running_postgres
from process_tree import wait_until

from services.reconstruction import job_database
from services.reconstruction.job_database import JobTableUnreachableError
from services.reconstruction.jobs import JobStore
from services.reconstruction.runner import Runner
from services.reconstruction.work import Means

N_JOBS = 40
N_PROCESSES = 2
# What a replica does: it makes the table, if it is the first, and claims until there is nothing more.
REPLICA = """
import sys
from concurrent.futures import ThreadPoolExecutor
from services.reconstruction.jobs import JobStore
store = JobStore(sys.stdin.readline().strip())
def claim_all(thread):
    while (job := store.claim(f"{sys.argv[1]}-{thread}")) is not None:
        print(job.id, job.attempts, flush=True)
with ThreadPoolExecutor(4) as threads:
    list(threads.map(claim_all, range(4)))
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of this file alone: its tests stop it."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_uri(postgres: PostgresServer) -> Iterator[str]:
    """A new database; the server runs again after each test."""
    name = f"jobs_{uuid4().hex}"
    postgres.psql("-c", f"CREATE DATABASE {name}")
    yield postgres.uri(name)
    postgres.tree.resume()
    postgres.start()


@pytest.fixture
def store(database_uri: str) -> Iterator[JobStore]:
    opened = JobStore(database_uri)
    yield opened
    opened.close()


def test_replicas_that_start_at_once_all_find_the_table(database_uri: str) -> None:
    stores = [JobStore(database_uri) for _ in range(8)]
    with ThreadPoolExecutor(8) as replicas:
        list(replicas.map(lambda store: store.ping(), stores))
        created = list(replicas.map(lambda store: store.create("series", {}).id, stores))
    assert stores[0].page({"series"})[1] == len(created)
    for store in stores:
        store.close()


def test_processes_that_claim_at_once_never_get_the_same_job(store: JobStore, database_uri: str) -> None:
    asked = {store.create("series", {"n": n}).id for n in range(N_JOBS)}
    command = [sys.executable, "-c", REPLICA]
    replicas = [
        subprocess.Popen([*command, f"replica-{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(N_PROCESSES)
    ]
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write(f"{database_uri}\n")
        replica.stdin.flush()
    claims = [line.split() for replica in replicas for line in replica.communicate(timeout=60)[0].splitlines()]
    assert sorted(job_id for job_id, _ in claims) == sorted(asked)
    assert {attempts for _, attempts in claims} == {"1"}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_connections_heal_after_a_restart(postgres: PostgresServer, store: JobStore, how: str) -> None:
    job = store.create("series", {})
    getattr(postgres.tree, how)()
    with pytest.raises(JobTableUnreachableError, match="is its database up"):
        store.get(job.id)
    postgres.start()
    assert store.get(job.id) == job
    assert store.claim("w") is not None


def test_a_store_opened_without_its_database_works_when_it_is_there(
    postgres: PostgresServer, database_uri: str
) -> None:
    postgres.tree.stop()
    early = JobStore(database_uri)
    with pytest.raises(JobTableUnreachableError):
        early.ping()
    postgres.start()
    assert early.claim("w") is None
    early.close()


def test_a_restart_of_the_database_does_not_end_the_runner(
    postgres: PostgresServer, store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    def no_tiled() -> None:
        raise ValueError("this test has no Tiled")

    runner = Runner(store, no_tiled, threads=1, means=Means("in-process", None))  # type: ignore[arg-type]
    runner.start()
    try:
        postgres.tree.stop()
        time.sleep(2.5)
        postgres.start()
        job = store.create("series", {"series": "series"})
        wait_until(lambda: store.get(job.id).is_final, 20, "the job is ended")
        assert runner.is_alive
        assert store.get(job.id).error == "this test has no Tiled"
        told = [record for record in caplog.records if "no job is begun" in record.message]
        assert told
        assert all(record.exc_info is None for record in told), "an outage is told in lines, not in tracebacks"
    finally:
        runner.stop()


def test_no_error_shows_the_password(postgres: PostgresServer, store: JobStore) -> None:
    postgres.tree.stop()
    with pytest.raises(JobTableUnreachableError) as caught:
        store.ping()
    shown = "".join(traceback.format_exception(caught.value))
    assert SUPERUSER_PASSWORD not in shown


def test_a_frozen_database_is_noticed(
    postgres: PostgresServer, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_database, "_TIMEOUT_S", 0.5)
    hasty = JobStore(database_uri)
    hasty.ping()
    postgres.tree.pause()
    with pytest.raises(JobTableUnreachableError):
        hasty.ping()
    postgres.tree.resume()
    hasty.ping()
    hasty.close()
