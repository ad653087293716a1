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
from models.run_schema import (
    BASELINE_STREAM,
    BLIND_PIXELS,
    DIFFRACTION_STREAM,
    FRAMES,
    PROJECTION_SPEC,
    PTYCHOGRAPHY_SPEC,
    SPECTRA,
    X_UM,
    XRF_STREAM,
    PtychographyStart,
)
from plans.devices.beamline import Beamline, make_beamline
from plans.flyscan import flyscan_projection
from plans.ptychography import ptychography_scan


@pytest.fixture
def raw_folder(tmp_path: Path) -> Path:
    """Where the detectors write and Tiled reads."""
    return tmp_path / "raw data"


@pytest.fixture
def tiled(tmp_path: Path, raw_folder: Path) -> Iterator[Any]:
    """A client of a server of its own."""
    # Tiled keeps one key for all servers of a process, the newest's: the reconstruction room's one may be in ours.
    with SimpleTiledServer(tmp_path / "tiled", readable_storage=[raw_folder], api_key="secret") as server:
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


def test_a_ptychography_run_holds_frames_places_geometry_and_blind_pixels(
    RE: RunEngine, runs: list[Any], tiled: Any, raw_folder: Path, fine_probe: Probe, overlapping_scan: dict[str, Any]
) -> None:
    beamline = make_beamline(
        raw_folder, "nmc-particle", probe=fine_probe, time_scale=0.0, frame_side_px=32, beam_stop_px=4.0
    )
    RE.subscribe(TiledWriter(tiled, batch_size=1))
    run = tiled[RE(ptychography_scan(beamline, **overlapping_scan)).plan_result]
    assert PTYCHOGRAPHY_SPEC in [spec.name for spec in run.specs]
    assert PROJECTION_SPEC not in [spec.name for spec in run.specs]
    start = PtychographyStart.from_metadata(run.metadata["start"])
    frames = run[DIFFRACTION_STREAM].base[FRAMES].read()
    assert frames.shape == (5, 7, *start.frame_shape) == (5, 7, 32, 32)
    np.testing.assert_array_equal(frames, runs[0].array(FRAMES))
    np.testing.assert_allclose(run[XRF_STREAM].base[X_UM].read()[2], start.scan.row_x_um(2))
    blind = np.array(run[DIFFRACTION_STREAM].metadata["configuration"]["camera"]["data"][BLIND_PIXELS], bool)
    np.testing.assert_array_equal(blind, beamline.specimen_in_beam.blind_pixels)
