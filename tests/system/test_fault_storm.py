"""Two series are scanned in a row while everything but PostgreSQL is killed, again and again: nothing of it is seen.

``SUBPROBE_STORM_ANGLES`` (of each series), ``SUBPROBE_STORM_FAULTS`` and ``SUBPROBE_STORM_SEED`` change its size.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from process_tree import wait_until
from topology import Topology, n_done, running_topology

from services.beamline.session import open_session
from services.catalog.angle_records import read_records
from services.catalog.backup import restore_backups
from services.catalog.client import Catalog
from services.catalog.parking import parked_runs
from services.catalog.probes import import_probe
from services.catalog.products import find_series, read_consistency, read_lineage, read_sigma, read_stack, read_trust
from services.catalog.records import SeriesRecord
from services.catalog.volumes import list_volumes

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

N_ANGLES = int(os.environ.get("SUBPROBE_STORM_ANGLES", "60"))
N_FAULTS = int(os.environ.get("SUBPROBE_STORM_FAULTS", "40"))
SEED = int(os.environ.get("SUBPROBE_STORM_SEED", "20261126"))
N_SERIES = 2
VICTIMS = (
    "worker-1", "worker-2", "tiled-1", "tiled-2", "redis", "reconstruction-1", "reconstruction-2", "dask-worker-1",
    "dask-worker-2",
)  # fmt: skip
LONGEST_ABSENCE_S, LONGEST_PEACE_S = 3.0, 16.0
CALM_S = 600.0


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Everything twice; workers that look around often, and are taken for dead soon."""
    environment = {
        "SUBPROBE_WORKER__ENHANCER": "lmmse",
        "SUBPROBE_WORKER__SWEEP_S": "3",
        "SUBPROBE_WORKER__LEASE_S": "10",
    }
    with running_topology(tmp_path_factory.mktemp("storm"), environment=environment) as running:
        yield running


class Storm(threading.Thread):
    """Kills one process after another, by chance, and starts each again after a while."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(name="storm", daemon=True)
        self.faults: Counter[str] = Counter()
        self._topology = topology
        self._rng = random.Random(SEED)

    def run(self) -> None:
        """All faults."""
        while self.faults.total() < N_FAULTS:
            time.sleep(self._rng.uniform(0.0, LONGEST_PEACE_S))
            victim = self._rng.choice(VICTIMS)
            self._topology.kill(victim)
            self.faults[victim] += 1
            time.sleep(self._rng.uniform(0.0, LONGEST_ABSENCE_S))
            self._topology.start(victim)


def test_forty_faults_lose_nothing_double_nothing_and_change_nothing(topology: Topology) -> None:
    print(f"\nseed {SEED}, {N_FAULTS} faults, {N_SERIES} series of {N_ANGLES} angles")
    session = open_session(topology.settings(1), call_returns_result=True)
    import_probe(session.catalog, session.beamline.probe, "twin")
    storm, began = Storm(topology), time.monotonic()
    storm.start()
    jobs: list[str] = []
    series_uids = []
    for number in range(N_SERIES):
        angles_deg = [180.0 * index / N_ANGLES for index in range(N_ANGLES)]
        plan = session.plans["coarse_flyscan_tomo"]
        done = session.RE(plan(sample=f"storm {number}", angles_deg=angles_deg, fov_um=[0.96, 0.96], step_nm=120.0))
        assert done.exit_status == "success"
        series_uids.append(done.plan_result.series_uid)
        print(f"series {number} scanned after {time.monotonic() - began:.0f} s, {storm.faults.total()} faults")
        jobs += [asked_for(topology, series_uids[-1]) for _ in range(2)]
    while storm.is_alive():
        jobs.append(asked_for(topology, series_uids[0]))
        storm.join(20.0)
    print(f"{dict(storm.faults)} in {time.monotonic() - began:.0f} s, {len(jobs)} jobs asked for")

    topology.wait_ready()
    session.catalog.close()
    with topology.connect(2) as catalog:
        restored = restore_backups(catalog, topology.folder / "backup")
        for uid in series_uids:
            wait_until(lambda uid=uid: n_done(catalog, uid) == N_ANGLES, CALM_S, f"all angles of {uid} are done")
        ended = [topology.ended_job(job_id, 1, CALM_S) for job_id in jobs]
        print(f"all done after {time.monotonic() - began:.0f} s; {len(restored)} runs came from the backup at the end")

        assert [job["state"] for job in ended] == ["succeeded"] * len(jobs), [job["error"] for job in ended]
        assert not parked_runs(catalog)
        stormy = {}
        for uid in series_uids:
            series = find_series(catalog, uid)
            check_records(catalog, series)
            made = {volume.job_id for volume in list_volumes(catalog, series.key)}
            assert made == {job["id"] for job in ended if job["series"] == series.key}
            stormy[uid] = products(catalog, series)
        turns = [record.turn for uid in series_uids for record in records(catalog, uid).values()]
        print(f"projections begun more than once: {sum(turn > 0 for turn in turns)}, at most {max(turns) + 1} times")

        for uid in series_uids:
            catalog.processed.delete_contents(find_series(catalog, uid).key, recursive=True, external_only=False)
        for name in ("worker-1", "worker-2"):
            topology.stop(name)
            topology.start(name)
        for uid in series_uids:
            wait_until(lambda uid=uid: n_done(catalog, uid) == N_ANGLES, CALM_S, f"all angles of {uid} are done again")
            calm = products(catalog, find_series(catalog, uid))
            assert calm.keys() == stormy[uid].keys()
            for name, values in calm.items():
                np.testing.assert_array_equal(stormy[uid][name], values, err_msg=str(name))


def asked_for(topology: Topology, series_uid: str) -> str:
    """Id of a job for what is there of a series, as soon as a service accepts it."""
    # The axis is given: a few angles do not tell it.
    how = {"algorithm": "fbp", "elements": ["Zn"], "centre": 16.0, "fsc": False, "allow_incomplete": True}
    request = {"series": series_uid} | how
    deadline = time.monotonic() + 120
    for number in (1, 2) * 1000:
        with suppress(httpx.TransportError), topology.api(number, 10.0) as api:
            answer = api.post("/reconstructions", json=request)
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            if answer.status_code == 202:
                return str(answer.json()["id"])
        assert time.monotonic() < deadline, "no service accepted a job"
        time.sleep(0.5)
    raise AssertionError


def records(catalog: Catalog, series_uid: str) -> dict[str, Any]:
    """Of every projection."""
    return read_records(catalog.processed[find_series(catalog, series_uid).key])


def check_records(catalog: Catalog, series: SeriesRecord) -> None:
    """One record an angle, complete: no claim is left, nothing is there twice."""
    found = records(catalog, series.series_uid)
    assert sorted(record.angle_index for record in found.values()) == list(range(N_ANGLES))
    assert {record.state for record in found.values()} == {"complete"}


def products(catalog: Catalog, series: SeriesRecord) -> dict[Any, Any]:
    """Everything that was made of a series, and of what."""
    made: dict[Any, Any] = {}
    for element in series.elements:
        for source in ("fitted", "enhanced"):
            made[source, element] = read_stack(catalog, series.key, source, element)
            made[f"{source}_sigma", element] = read_sigma(catalog, series.key, source, element)
        made["consistency", element] = read_consistency(catalog, series.key, element)
        for name in ("supported", "supported_sigma", "denial"):
            made[name, element] = read_trust(catalog, series.key, name, element)
    for name, values in made.items():
        assert np.isfinite(values).any(axis=(1, 2)).all(), name
    lineages = [read_lineage(catalog, series.key, index) for index in range(N_ANGLES)]
    return made | {name: np.array([one[name] for one in lineages]) for name in ("identity", "run_uid")}
