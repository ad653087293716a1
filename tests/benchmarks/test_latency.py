"""From the last row on disk to the enhanced map readable in Tiled, with the whole stack on this machine."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from running_stack import RunningStack, start_stack, stop_stack

from services.beamline.session import BeamlineSession, open_session
from services.catalog.probes import import_probe
from services.catalog.products import find_series, read_lineage
from services.settings import Settings

N_ANGLES = 24
STEP_NM = 120.0
FOV_UM = [4.2, 4.2]  # 35 x 35 points


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = start_stack(tmp_path_factory.mktemp("latency"))
    yield running
    stop_stack(running)


def _session(settings: Settings, time_scale: float) -> BeamlineSession:
    beamline = settings.beamline.model_copy(update={"time_scale": time_scale})
    return open_session(settings.model_copy(update={"beamline": beamline}), call_returns_result=False)


def _take_series(session: BeamlineSession) -> tuple[str, dict[str, float]]:
    """Series uid, and by run uid when its last row was on disk."""
    starts: list[dict[str, object]] = []
    last_row: dict[str, float] = {}

    def watch(name: str, document: dict[str, object]) -> None:
        if name == "start":
            starts.append(document)
        elif name == "stop":
            files = session.beamline.folder.glob("**/*.h5")
            last_row[str(document["run_start"])] = max(path.stat().st_mtime for path in files)

    angles_deg = [180.0 * index / N_ANGLES for index in range(N_ANGLES)]
    plan = session.plans["coarse_flyscan_tomo"]
    session.RE(plan(sample="latency", angles_deg=angles_deg, fov_um=FOV_UM, step_nm=STEP_NM), watch)
    return str(starts[0]["series_uid"]), last_row


def test_latency_from_last_row_to_enhanced_map(
    stack: RunningStack, record_property: Callable[[str, object], None]
) -> None:
    session = _session(stack.settings(), time_scale=0.05)
    import_probe(session.catalog, session.beamline.probe, "twin")
    series_uid, last_row = _take_series(session)
    deadline = time.monotonic() + 120
    while len(find_series(session.catalog, series_uid).done_angles) < N_ANGLES:
        assert time.monotonic() < deadline, "the worker did not catch up"
        time.sleep(0.5)
    key = find_series(session.catalog, series_uid).key
    lineages = [read_lineage(session.catalog, key, index) for index in range(N_ANGLES)]
    latency_s, completed_s = (
        np.array([lineage[moment] - last_row[lineage["run_uid"]] for lineage in lineages])
        for moment in ("readable_at", "completed_at")
    )
    steps = {step: np.median([lineage["seconds"][step] for lineage in lineages]) for step in lineages[0]["seconds"]}
    print(
        f"\nlast row on disk -> enhanced maps readable in Tiled, {N_ANGLES} projections of 35 x 35 points, 2 elements:"
    )
    print(f"median {np.median(latency_s):.2f} s, 90 % {np.quantile(latency_s, 0.9):.2f} s, max {latency_s.max():.2f} s")
    print(f"complete, with sigma, consistency, fitted maps and record: median {np.median(completed_s):.2f} s")
    print("median seconds of the worker's steps:", {step: round(float(value), 3) for step, value in steps.items()})
    record_property("median_latency_s", float(np.median(latency_s)))
    assert np.median(latency_s) < 1.0
