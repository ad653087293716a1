"""Runs stream into a real Tiled, and read back as they are on disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri
from tiled.server.simple import SimpleTiledServer

from models.physics.probe import Probe
from models.run_schema import BASELINE_STREAM, DIFFRACTION_STREAM, PROJECTION_SPEC, SPECTRA, XRF_STREAM
from plans.devices.beamline import Beamline, make_beamline
from plans.flyscan import flyscan_projection


@pytest.fixture
def raw_folder(tmp_path: Path) -> Path:
    """Where the detectors write and Tiled reads."""
    return tmp_path / "raw data"


@pytest.fixture
def tiled(tmp_path: Path, raw_folder: Path) -> Iterator[Any]:
    """A client of a server of its own."""
    with SimpleTiledServer(tmp_path / "tiled", readable_storage=[raw_folder]) as server:
        yield from_uri(server.uri)


@pytest.fixture
def paced_beamline(raw_folder: Path, small_probe: Probe) -> Beamline:
    """A twin slow enough for several announcements a scan."""
    return make_beamline(raw_folder, "nmc-particle", probe=small_probe, time_scale=0.5)


def test_a_run_grows_in_tiled_and_reads_back_as_recorded(
    RE: RunEngine, runs: list[Any], tiled: Any, paced_beamline: Beamline, scan: dict[str, Any]
) -> None:
    RE.subscribe(TiledWriter(tiled, batch_size=1))
    rows_seen: list[int] = []

    def look(name: str, _: dict[str, Any]) -> None:
        if name == "stream_datum":
            rows_seen.append(tiled[runs[0].start["uid"]][XRF_STREAM].base[SPECTRA].shape[0])

    RE.subscribe(look)
    uid = RE(flyscan_projection(paced_beamline, **scan, diffraction=True, flush_period_s=0.2)).plan_result
    run = tiled[uid]
    assert PROJECTION_SPEC in [spec.name for spec in run.specs]
    assert run.metadata["stop"]["exit_status"] == "success"
    assert set(run) == {BASELINE_STREAM, XRF_STREAM, DIFFRACTION_STREAM}
    for stream in (XRF_STREAM, DIFFRACTION_STREAM):
        for key, array in run[stream].base.items():
            np.testing.assert_array_equal(array.read(), runs[0].array(key))
    assert rows_seen[0] < rows_seen[-1] == 4
