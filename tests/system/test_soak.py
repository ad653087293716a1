"""Small series one after another, for a while: what every process takes stays what it is.

``SUBPROBE_SOAK_MINUTES`` says for how long; slopes are judged from ten minutes on, before that caches still fill.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from process_tree import wait_until
from topology import Size, Topology, running_topology

from services.beamline.session import open_session
from services.catalog.backlog import Backlog
from services.catalog.probes import import_probe

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

MINUTES = float(os.environ.get("SUBPROBE_SOAK_MINUTES", "3"))
N_ANGLES = 4
WARM = 1 / 3
"""Of the time: imports, pools and caches fill."""
JUDGED_FROM_MINUTES = 10.0
MOST_MIB_PER_HOUR = 60.0
"""Of a process of ours; Redis keeps payloads for an hour, PostgreSQL fills its buffers: theirs are told only. So are
PostgreSQL's files: each backend keeps those of the relations that it has met, up to max_files_per_process."""
MOST_MORE_HANDLES = 8


@dataclass(frozen=True)
class Sample:
    """One look at one process and its children."""

    minute: float
    mib: float
    handles: int
    """Files and sockets."""
    threads: int


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Two workers, two Tiled, one service."""
    environment = {"SUBPROBE_WORKER__ENHANCER": "lmmse", "SUBPROBE_WORKER__SWEEP_S": "5"}
    with running_topology(tmp_path_factory.mktemp("soak"), Size(2, 2, 1, 0), environment) as running:
        yield running


def test_nothing_grows_while_series_come_and_go(topology: Topology) -> None:
    session = open_session(topology.settings(1), call_returns_result=True)
    import_probe(session.catalog, session.beamline.probe, "twin")
    samples: dict[str, list[Sample]] = defaultdict(list)
    began, n_series = time.monotonic(), 0
    while (minute := (time.monotonic() - began) / 60) < MINUTES:
        angles_deg = [180.0 * index / N_ANGLES for index in range(N_ANGLES)]
        plan = session.plans["coarse_flyscan_tomo"]
        session.RE(plan(sample="soak", angles_deg=angles_deg, fov_um=[0.96, 0.96], step_nm=120.0))
        n_series += 1
        with topology.api(1) as api:
            assert api.get("/series").is_success
        wait_until(lambda: not any(Backlog(session.catalog).waiting()), 120, "the series is enhanced")
        for name in topology.names:
            samples[name].append(looked_at(minute, topology.process(name).pid))
    session.catalog.close()

    print(f"\n{n_series} series of {N_ANGLES} angles in {MINUTES:g} min")
    print(f"{'process':<18} {'MiB':>14} {'MiB/h':>8} {'files, sockets':>16} {'threads':>10}")
    for name, seen in samples.items():
        warm = [one for one in seen if one.minute >= WARM * MINUTES]
        print(
            f"{name:<18} {warm[0].mib:6.0f} {warm[-1].mib:7.0f} {slope_mib_per_hour(warm):8.1f} "
            f"{warm[0].handles:8d} {warm[-1].handles:7d} {warm[0].threads:5d} {warm[-1].threads:4d}"
        )
    if MINUTES >= JUDGED_FROM_MINUTES:
        for name, seen in samples.items():
            judge(name, [one for one in seen if one.minute >= WARM * MINUTES])


def looked_at(minute: float, pid: int) -> Sample:
    """Of a process with its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return Sample(
        minute,
        sum(one.memory_full_info().uss for one in family) / 2**20,
        sum(len(list(Path(f"/proc/{one.pid}/fd").iterdir())) for one in family),
        sum(one.num_threads() for one in family),
    )


def slope_mib_per_hour(seen: list[Sample]) -> float:
    """Of a straight line through all looks."""
    if len(seen) < 3:
        return 0.0
    return float(np.polyfit([one.minute / 60 for one in seen], [one.mib for one in seen], 1)[0])


def judge(name: str, seen: list[Sample]) -> None:
    """Fails where a process grows."""
    half = len(seen) // 2
    for what in ("threads",) if name == "postgres" else ("handles", "threads"):
        before, after = (max(getattr(one, what) for one in part) for part in (seen[:half], seen[half:]))
        assert after <= before + MOST_MORE_HANDLES, f"{name}: {what} grew from {before} to {after}"
    if not name.startswith(("redis", "postgres")):
        assert slope_mib_per_hour(seen) <= MOST_MIB_PER_HOUR, f"{name} grows"
