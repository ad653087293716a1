"""A backlog of many series: what a second worker is worth, and how soon a live projection is seen meanwhile.

``SUBPROBE_LOAD_SERIES``, ``SUBPROBE_LOAD_ANGLES`` change the size of the backlog.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
from fixed_cost import fixed_cost_workers
from process_tree import wait_until
from projection_runs import SMALL_PROJECTION, RunWriter
from topology import Size, Topology, running_topology

from models.physics.probe import gaussian_probe
from models.run_schema import ProjectionStart
from services.catalog.backlog import Backlog
from services.catalog.client import Catalog
from services.catalog.probes import import_probe
from services.catalog.products import list_series, read_lineage
from services.catalog.records import NotFoundError
from services.settings import Settings

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

N_SERIES = int(os.environ.get("SUBPROBE_LOAD_SERIES", "3"))
N_ANGLES = int(os.environ.get("SUBPROBE_LOAD_ANGLES", "10"))
COST_S = 2.0
SEED = 6
N_LIVE = 12 if N_SERIES >= 20 else 6
LEAST_GAIN = 1.7 if N_SERIES >= 20 else 1.4
"""Of few series beginning them, which one worker does while the other waits, counts for more."""
MOST_SLOWDOWN = 2.0 if N_SERIES >= 20 else 2.5
"""Six latencies of a short run scatter by half a projection."""


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Databases and two Tiled; workers are our own."""
    with running_topology(tmp_path_factory.mktemp("load"), Size(2, 0, 1, 0)) as running:
        with running.connect() as catalog:
            import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "round")
        yield running


@pytest.fixture(scope="module")
def catalog(topology: Topology) -> Iterator[Catalog]:
    """A connection to Tiled 1."""
    with topology.connect(1) as connection:
        yield connection


@pytest.fixture(scope="module")
def write(topology: Topology, catalog: Catalog) -> Callable[[ProjectionStart], str]:
    """Writes a run that is finished now."""
    writer = RunWriter(catalog, topology.folder / "raw")
    return lambda start: writer.write(start, time=time.time() - 1.0)


def series_start() -> ProjectionStart:
    """Of a new series."""
    n_angles = max(N_ANGLES, 2 * N_LIVE)
    uid = str(uuid4())
    return replace(SMALL_PROJECTION, series_uid=uid, elements=("Zn",), n_angles=n_angles, angles_deg=(), probe="round")


def settings(topology: Topology, number: int) -> Settings:
    """Of worker ``number``, at the Tiled of that number."""
    common = topology.settings(number)
    mine = common.worker.model_copy(update={"name": f"worker-{number}", "sweep_s": 3.0})
    return common.model_copy(update={"worker": mine})


def test_two_workers_do_nearly_twice_as_much_and_live_projections_come_first(
    topology: Topology, catalog: Catalog, write: Callable[[ProjectionStart], str]
) -> None:
    live = series_start()
    with fixed_cost_workers([settings(topology, 1)], COST_S):
        calm_s = latencies_s(catalog, write, live, range(N_LIVE))

    for _ in range(N_SERIES):
        start = series_start()
        for index in range(N_ANGLES):
            write(replace(start, angle_index=index))
    n_runs = N_SERIES * N_ANGLES + N_LIVE
    rates = {}
    for n_workers in (1, 2):
        catalog.processed.delete_contents(recursive=True, external_only=False)
        with fixed_cost_workers([settings(topology, number + 1) for number in range(n_workers)], COST_S):
            # Seldom: of a Tiled that is asked twenty times a second the workers have little.
            patience_s = 120 + 5 * COST_S * n_runs
            wait_until(lambda: not any(Backlog(catalog).waiting()), patience_s, "the backlog is done", every_s=5)
        done_at = sorted(completed(catalog))
        assert len(done_at) == n_runs
        rates[n_workers] = (n_runs - n_workers) / (done_at[-1] - done_at[n_workers - 1])
    print(
        f"\nbacklog of {N_SERIES} x {N_ANGLES}, enhancer of {COST_S:g} s: {rates[1]:.3f} projections/s with one "
        f"worker, {rates[2]:.3f} with two, {rates[2] / rates[1]:.2f} times"
    )

    catalog.processed.delete_contents(recursive=True, external_only=False)
    with fixed_cost_workers([settings(topology, 1)], COST_S):
        wait_until(lambda: any(completed(catalog)), 120, "the worker is at its backlog")
        busy_s = latencies_s(catalog, write, live, range(N_LIVE, 2 * N_LIVE))
        assert any(Backlog(catalog).waiting()), "the backlog was too short"
    told = [" ".join(f"{one:.1f}" for one in sorted(seen)) for seen in (calm_s, busy_s)]
    print(f"live projections complete after {told[0]} s in calm, {told[1]} s under a backlog")
    assert rates[2] >= LEAST_GAIN * rates[1]
    assert median(busy_s) <= MOST_SLOWDOWN * median(calm_s)


def completed(catalog: Catalog) -> list[float]:
    """When each projection was, in seconds since the epoch."""
    records = [record for series in list_series(catalog) for record in projections(catalog, series.key)]
    return [record["completed_at"] for record in records if record["state"] == "complete"]


def projections(catalog: Catalog, key: str) -> list[Mapping[str, Any]]:
    """Metadata of every record of a series; none of one that is just being made."""
    with suppress(KeyError):
        return [node.metadata for node in catalog.processed[key, "projections"].values()]
    return []


def latencies_s(
    catalog: Catalog, write: Callable[[ProjectionStart], str], start: ProjectionStart, indices: range
) -> list[float]:
    """Of one angle after another, each at a moment of its own: a scan does not wait for the worker to begin."""
    rng, seen = random.Random(SEED), []
    for index in indices:
        time.sleep(rng.uniform(0, 2 * COST_S))
        seen.append(latency_s(catalog, write, replace(start, angle_index=index)))
    return seen


def latency_s(catalog: Catalog, write: Callable[[ProjectionStart], str], start: ProjectionStart) -> float:
    """From the end of writing a run to its completion."""
    write(start)
    written_at = time.time()

    def completed_at() -> float:
        with suppress(NotFoundError):
            return float(read_lineage(catalog, start.series_uid, start.angle_index).get("completed_at", 0.0))
        return 0.0

    wait_until(lambda: completed_at() > 0, 120, "the live projection is complete")
    return completed_at() - written_at
