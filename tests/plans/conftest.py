"""A real RunEngine and a small twin: real physics on few points, through a probe of few pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import pytest
from bluesky import RunEngine
from numpy.typing import NDArray

from models.physics.probe import Probe, gaussian_probe
from plans.devices.beamline import Beamline, make_beamline

SPECIMEN = "nmc-particle"
SCAN = {"sample": "NMC 811", "fov_um": [0.48, 0.84], "step_nm": 120}
"""4 rows of 7 points."""


@dataclass
class Run:
    """The documents of one run, and the arrays they announce."""

    start: dict[str, Any]
    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The documents of one kind."""
        return [document for kind, document in self.documents if kind == name]

    @property
    def exit_status(self) -> str:
        """As the stop document says."""
        return str(self.named("stop")[0]["exit_status"])

    def array(self, key: str) -> NDArray[Any]:
        """What one data key's file holds."""
        (resource,) = [resource for resource in self.named("stream_resource") if resource["data_key"] == key]
        path = resource["uri"].removeprefix("file://localhost")
        with h5py.File(path) as file:
            values: NDArray[Any] = file[resource["parameters"]["dataset"]][:]
        return values

    def announced(self) -> dict[str, list[tuple[int, int]]]:
        """The (start, stop) of each announcement, by data key."""
        keys = {resource["uid"]: resource["data_key"] for resource in self.named("stream_resource")}
        spans: dict[str, list[tuple[int, int]]] = {key: [] for key in keys.values()}
        for datum in self.named("stream_datum"):
            spans[keys[datum["stream_resource"]]].append((datum["indices"]["start"], datum["indices"]["stop"]))
        return spans


class RunRecorder:
    """A RunEngine callback that keeps every document, run by run."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        if name == "start":
            self.runs.append(Run(document))
        self.runs[-1].documents.append((name, document))


@pytest.fixture
def RE() -> Iterator[RunEngine]:  # noqa: N802 (its name wherever people use it)
    """A RunEngine that returns results, its event loop closed afterwards."""
    engine = RunEngine({}, call_returns_result=True)
    yield engine
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join()
    engine.loop.close()


@pytest.fixture
def runs(RE: RunEngine) -> list[Run]:
    """Every run of this RunEngine."""
    recorder = RunRecorder()
    RE.subscribe(recorder)
    return recorder.runs


@pytest.fixture(scope="session")
def small_probe() -> Probe:
    """A Gaussian of 60 nm on 15 nm pixels."""
    return gaussian_probe(60.0, energy_kev=10.0, n=32, pixel_size_nm=15.0)


@pytest.fixture
def make_twin(tmp_path: Path, small_probe: Probe) -> Callable[..., Beamline]:
    """Builds twins that write to this test's folder, by default as fast as they compute."""

    def make(**options: Any) -> Beamline:
        defaults: dict[str, Any] = {"specimen": SPECIMEN, "probe": small_probe, "time_scale": 0.0}
        return make_beamline(tmp_path / "raw data", **(defaults | options))

    return make


@pytest.fixture
def beamline(make_twin: Callable[..., Beamline]) -> Beamline:
    """The twin with nothing special about it."""
    return make_twin()


@pytest.fixture(scope="session")
def fine_probe() -> Probe:
    """A Gaussian of 60 nm whose window holds more than the camera of `make_imager` sees."""
    return gaussian_probe(60.0, energy_kev=10.0, n=64, pixel_size_nm=7.5)


@pytest.fixture
def make_imager(make_twin: Callable[..., Beamline], fine_probe: Probe) -> Callable[..., Beamline]:
    """Builds twins for ptychography, with a camera of 32 x 32 pixels."""

    def make(**options: Any) -> Beamline:
        return make_twin(**({"probe": fine_probe, "frame_side_px": 32} | options))

    return make


@pytest.fixture
def overlapping_scan() -> dict[str, Any]:
    """Arguments of a small ptychography scan, 5 rows of 7 points."""
    return {"sample": "NMC 811", "fov_um": [0.22, 0.31], "step_nm": 45}


@pytest.fixture
def scan() -> dict[str, Any]:
    """Arguments of a small scan, 4 rows of 7 points."""
    return dict(SCAN)
