"""A real Tiled server with its in-memory stream, shared by the tests of the services."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from projection_runs import EVERYTHING, SMALL_PROJECTION, RunWriter
from tiled_process import TiledProcess

from models.run_schema import PTYCHOGRAPHY_SPEC, ProjectionStart, PtychographyStart
from services.catalog.client import Catalog, connect


@dataclass(frozen=True)
class RunningTiled:
    """Where the server of the tests is."""

    uri: str
    api_key: str
    raw_folder: Path
    """The folder whose HDF5 files the server may read: detectors write there."""


@pytest.fixture(scope="session")
def tiled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTiled]:
    """The embedded stack's Tiled server on a free port, in a process of its own: in ours it would share our GIL."""
    server = TiledProcess(tmp_path_factory.mktemp("stack"))
    yield RunningTiled(server.uri, server.api_key, server.folder.raw)
    server.stop()


@pytest.fixture(scope="session")
def tiled_connection(tiled_server: RunningTiled) -> Iterator[Catalog]:
    """A connection to a catalogue that other tests may have written to."""
    with connect(tiled_server.uri, tiled_server.api_key) as connection:
        yield connection


@pytest.fixture
def catalog(tiled_connection: Catalog) -> Catalog:
    """A connection to an empty catalogue."""
    for tree in tiled_connection.root.values():
        if tree.item["attributes"]["structure"]["count"]:
            tree.delete_contents(recursive=True, external_only=False)
    return tiled_connection


@pytest.fixture(scope="session")
def run_writer(tiled_connection: Catalog, tiled_server: RunningTiled) -> RunWriter:
    """Writes projection runs into the catalogue."""
    return RunWriter(tiled_connection, tiled_server.raw_folder)


@pytest.fixture(scope="session")
def everything() -> tuple[str, ...]:
    """All arrays of a projection: leave them out where only documents matter, they take a second to write."""
    return EVERYTHING


@pytest.fixture(scope="session")
def projection_start() -> ProjectionStart:
    """A small projection: angle 0 of three, 4 x 5 points, one detector of 1024 channels."""
    return SMALL_PROJECTION


@pytest.fixture
def ptychography_metadata(projection_start: ProjectionStart) -> dict[str, Any]:
    """What a ptychography run for the series of `projection_start` says."""
    start = PtychographyStart(
        sample_name=projection_start.sample_name,
        theta_deg=0.0,
        energy_kev=projection_start.energy_kev,
        optics="zone plate",
        scan=projection_start.scan.with_unequal_lines(0),
        frame_shape=(32, 32),
        detector_distance_m=0.4,
        detector_pixel_um=55.0,
        flux_hz=5e6,
        series_uid=projection_start.series_uid,
    )
    return start.to_metadata() | {"tiled_specs": [PTYCHOGRAPHY_SPEC]}
