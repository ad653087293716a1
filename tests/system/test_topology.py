"""What docker-compose.yml starts, without Docker: two of everything, from the same commands and settings files."""

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from process_tree import wait_until
from topology import Topology, running_topology

from services.beamline.session import open_session
from services.catalog.probes import import_probe
from services.catalog.products import find_series, read_lineage, read_stack
from services.catalog.records import SeriesRecord
from services.catalog.volumes import list_volumes, read_volume

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

N_ANGLES = 10
DATABASES = {"tiled_catalog": "tiled", "tiled_storage": "tiled", "subprobe_jobs": "subprobe"}
SEED = 20240125


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """PostgreSQL, Redis, two Tiled, two workers, two services, a scheduler with two workers."""
    # A network would take longer than the test has on a machine whose cores run eleven processes.
    environment = {"SUBPROBE_WORKER__ENHANCER": "lmmse", "SUBPROBE_WORKER__SWEEP_S": "2"}
    with running_topology(tmp_path_factory.mktemp("topology"), environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def series(topology: Topology) -> SeriesRecord:
    """A small coarse series, measured through Tiled 1, and enhanced."""
    session = open_session(topology.settings(1), call_returns_result=True)
    import_probe(session.catalog, session.beamline.probe, "twin")
    angles_deg = [180.0 * index / N_ANGLES for index in range(N_ANGLES)]
    plan = session.plans["coarse_flyscan_tomo"]
    result = session.RE(plan(sample="cathode", angles_deg=angles_deg, fov_um=[1.2, 1.2], step_nm=120.0))
    uid = result.plan_result.series_uid
    wait_until(lambda: len(find_series(session.catalog, uid).done_angles) == N_ANGLES, 120, "all angles are enhanced")
    found = find_series(session.catalog, uid)
    session.catalog.close()
    return found


@dataclass(frozen=True)
class Finished:
    """A job that has succeeded."""

    id: str
    told: dict[str, Any]


@pytest.fixture(scope="module")
def job(topology: Topology, series: SeriesRecord) -> Finished:
    """A volume asked for at service 2."""
    with topology.api(2) as api:
        asked = api.post("/reconstructions", json={"series": series.key, "algorithm": "fbp", "elements": ["Zn"]})
        assert asked.status_code == 202, asked.text
        return wait_for_job(topology, asked.json()["id"], number=2)


def wait_for_job(topology: Topology, job_id: str, number: int, timeout_s: float = 180.0) -> Finished:
    """Ask a service until a job has ended well."""
    told = topology.ended_job(job_id, number, timeout_s)
    assert told["state"] == "succeeded", told
    return Finished(job_id, told)


def test_two_workers_share_a_series_and_do_each_angle_once(topology: Topology, series: SeriesRecord) -> None:
    with topology.connect(2) as catalog:
        by_worker = Counter(read_lineage(catalog, series.key, index)["worker"] for index in range(N_ANGLES))
        assert np.isfinite(read_stack(catalog, series.key, "enhanced", "Zn")).all()
    assert set(by_worker) == {"worker-1", "worker-2"}, by_worker
    done = sum(topology.log(name).count("readable") for name in by_worker)
    assert done == N_ANGLES


def test_a_volume_asked_for_at_one_service_is_made_by_dask_and_seen_by_all(
    topology: Topology, series: SeriesRecord, job: Finished
) -> None:
    with topology.api(1) as api:
        assert api.get(f"/reconstructions/{job.id}").json() == job.told
    with topology.connect(2) as catalog:
        volume = next(volume for volume in list_volumes(catalog, series.key) if volume.job_id == job.id)
        assert volume.metadata["computed_by"] == "dask"
        density = read_volume(catalog, series.key, job.id, "Zn")
    assert density.shape == (40, 40, 40)
    assert density.mean() > 0


def test_what_is_killed_comes_back_at_its_place_with_its_data(
    topology: Topology, series: SeriesRecord, job: Finished
) -> None:
    order = list(topology.names)
    random.Random(SEED).shuffle(order)
    with topology.connect(2) as catalog:
        before = read_volume(catalog, series.key, job.id, "Zn")
    for name in order:
        topology.kill(name)
        topology.start(name)
    topology.wait_ready()
    with topology.connect(2) as catalog:
        np.testing.assert_array_equal(read_volume(catalog, series.key, job.id, "Zn"), before)
    with topology.api(1) as api:
        again = api.post("/reconstructions", json={"series": series.key, "algorithm": "fbp", "elements": ["Zn"]})
    wait_for_job(topology, again.json()["id"], number=2)


def test_a_frozen_process_is_not_ready_until_it_goes_on(topology: Topology) -> None:
    topology.wait_ready("reconstruction-1")
    topology.pause("reconstruction-1")
    assert not topology.is_ready("reconstruction-1")
    topology.resume("reconstruction-1")
    topology.wait_ready("reconstruction-1")


def test_no_secret_is_in_a_log_or_on_a_command_line(topology: Topology, job: Finished) -> None:
    assert job
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    for secret in topology.secrets:
        assert not [name for name in topology.names if secret in topology.log(name)]
        assert not [command.split()[:3] for command in commands if secret in command]


def test_roles_of_the_database_reach_their_own_alone(topology: Topology) -> None:
    granted = topology.postgres.psql(
        "-c",
        "SELECT rolname, datname FROM pg_roles, pg_database WHERE rolname IN ('tiled', 'subprobe') "
        "AND datname IN ('tiled_catalog', 'tiled_storage', 'subprobe_jobs') "
        "AND has_database_privilege(rolname, datname, 'CONNECT')",
    )
    assert {tuple(line.split("|"))[::-1] for line in granted.split()} == set(DATABASES.items())


def test_the_catalogue_is_upgraded_by_the_same_command_that_made_it(topology: Topology) -> None:
    said = topology.prepare_catalog("upgrade")
    assert not [secret for secret in topology.secrets if secret in said]


def test_everything_comes_back_from_a_backup_after_its_loss(
    topology: Topology, series: SeriesRecord, job: Finished, tmp_path: Path
) -> None:
    """Word for word what deploy/README.md says under "Back up" and "Restore"."""
    with topology.connect(1) as catalog:
        enhanced, raw_uids = read_stack(catalog, series.key, "enhanced", "Zn"), set(catalog.raw)
        volume = read_volume(catalog, series.key, job.id, "Zn")
    for database in DATABASES:  # before the arrays: a catalogue may lack arrays that are there, not the other way round
        topology.postgres.dump(database, tmp_path / f"{database}.dump")
    folders = ("arrays", "raw")
    subprocess.run(["tar", "-czf", tmp_path / "data.tar.gz", "-C", topology.folder, *folders], check=True)

    for name in reversed(topology.names):
        if name not in ("postgres", "redis"):
            topology.stop(name)
    for database, owner in DATABASES.items():
        topology.postgres.psql("-c", f"DROP DATABASE {database} WITH (FORCE)")
        topology.postgres.psql("-c", f"CREATE DATABASE {database} OWNER {owner}")
    for folder in folders:
        shutil.rmtree(topology.folder / folder)

    for database in DATABASES:
        topology.postgres.restore(database, tmp_path / f"{database}.dump")
    subprocess.run(["tar", "-xzf", tmp_path / "data.tar.gz", "-C", topology.folder], check=True)
    with topology.redis() as redis:
        redis.flushall()
    topology.start_all()
    with topology.connect(2) as catalog:
        assert set(catalog.raw) == raw_uids
        np.testing.assert_array_equal(read_stack(catalog, series.key, "enhanced", "Zn"), enhanced)
        np.testing.assert_array_equal(read_volume(catalog, series.key, job.id, "Zn"), volume)
    with topology.api(1) as api:
        assert api.get(f"/reconstructions/{job.id}").json()["state"] == "succeeded"
