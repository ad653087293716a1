"""A real Tiled with a small analytic series in it, and the service before it on a real port."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from numpy.typing import NDArray
from running_service import serve
from tiled.server.simple import SimpleTiledServer

from models.run_schema import PROJECTION_SPEC, ProjectionStart, XrfDetector
from models.scan import FlyScan
from models.tomo.algorithms import ALGORITHMS, Account, nobody_asks
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.tomo.level import Whole
from services.catalog.angle_records import AngleRecord, record_key
from services.catalog.client import Catalog, connect, create_container
from services.catalog.series_layout import ensure_series
from services.catalog.writing import summarise_series
from services.settings import ReconstructionSettings, Settings, TiledSettings

API_KEY = "secret"
N_ANGLES = 8
SCALE = 2
STEP_NM = 100.0
SIGMA_UG_CM2 = 0.5
SHAPE = (6, 16)  # coarse (y, x)


@dataclass(frozen=True)
class Blob:
    """A Gaussian ball, whose projections are known in closed form."""

    peak_g_cm3: float = 2.0
    sigma_um: float = 0.15
    x_um: float = 0.2
    z_um: float = -0.25

    def projection_ug_cm2(self, theta_deg: float, shape: tuple[int, int], pixel_nm: float) -> NDArray[np.float32]:
        theta = np.deg2rad(theta_deg)
        y_um, u_um = (
            np.subtract(*np.meshgrid(np.arange(n), [(n - 1) / 2], indexing="ij"))[:, 0] * pixel_nm * 1e-3 for n in shape
        )
        u_um = u_um - self.x_um * np.cos(theta) - self.z_um * np.sin(theta)
        ball = np.exp(-(y_um[:, None] ** 2 + u_um[None, :] ** 2) / (2 * self.sigma_um**2))
        thickness_nm = np.sqrt(2 * np.pi) * self.sigma_um * 1e3
        return (ball * self.peak_g_cm3 / 10 * thickness_nm).astype(np.float32)


BLOBS = {"Zn": Blob(), "Mn": Blob(peak_g_cm3=1.0, x_um=-0.2, z_um=0.1)}


@dataclass(frozen=True)
class RunningTiled:
    """Where the server of these tests is."""

    uri: str
    api_key: str


@pytest.fixture(scope="session")
def reconstruction_tiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTiled]:
    """A Tiled of its own: its series stay for all tests of this room."""
    with SimpleTiledServer(tmp_path_factory.mktemp("tiled"), api_key=API_KEY) as server:
        yield RunningTiled(f"http://127.0.0.1:{server.port}", server.api_key)


@pytest.fixture(scope="session")
def tiled_catalog(reconstruction_tiled: RunningTiled) -> Iterator[Catalog]:
    """A connection to it."""
    with connect(reconstruction_tiled.uri, reconstruction_tiled.api_key) as catalog:
        yield catalog


@pytest.fixture(scope="session")
def series_key(tiled_catalog: Catalog) -> str:
    """A complete series of two Gaussian balls."""
    return write_series(tiled_catalog, "cathode", N_ANGLES, ("Zn", "Mn"))


@pytest.fixture(scope="session")
def incomplete_series_key(tiled_catalog: Catalog) -> str:
    """A short one with its third angle missing."""
    return write_series(tiled_catalog, "unfinished", 4, ("Zn",), missing=(2,))


@pytest.fixture(scope="session")
def tall_series_key(tiled_catalog: Catalog) -> str:
    """One whose fine maps are several slabs."""
    return write_series(tiled_catalog, "pillar", N_ANGLES, ("Zn", "Mn"), shape=(80, 16))


@pytest.fixture(scope="session")
def torn_series_key(tiled_catalog: Catalog) -> str:
    """One whose enhanced maps somebody has removed."""
    key = write_series(tiled_catalog, "torn", 4, ("Zn",))
    tiled_catalog.processed[key, "enhanced", "Zn"].delete(external_only=False)
    return key


def write_series(
    catalog: Catalog,
    sample: str,
    n_angles: int,
    elements: tuple[str, ...],
    missing: tuple[int, ...] = (),
    shape: tuple[int, int] = SHAPE,
) -> str:
    """Write a series as the worker would, but each stack at once."""
    angles = tuple(float(angle) for angle in np.arange(n_angles) * 180.0 / n_angles)
    done = [index for index in range(n_angles) if index not in missing]
    start = ProjectionStart(
        series_uid=str(uuid4()),
        series_name=f"{sample} series",
        sample_name=sample,
        angle_index=0,
        n_angles=n_angles,
        theta_deg=angles[0],
        purpose="coarse",
        energy_kev=10.0,
        elements=elements,
        scan=FlyScan(shape, step_nm=STEP_NM, dwell_s=0.01),
        detector=XrfDetector(),
        i0_nominal=1e5,
        angles_deg=angles,
    )
    run = compose_run(metadata=start.to_metadata() | {"tiled_specs": [PROJECTION_SPEC], "scan_id": 12})
    writer = TiledWriter(catalog.raw, batch_size=1)
    writer("start", run.start_doc)
    writer("stop", run.compose_stop())
    series = ensure_series(catalog, start, SCALE, "test")
    for (source, element), stack in series.stacks.items():
        if source in ("fitted", "enhanced"):
            stack.patch(_projections(element, stack.shape[1:], angles, missing), offset=(0, 0, 0))
        if source == "fitted_sigma":
            stack.patch(np.full(stack.shape, SIGMA_UG_CM2, np.float32), offset=(0, 0, 0))
    for index in done:
        record = AngleRecord(str(uuid4()), 0.0, "complete", "test", 0.0, index, angles[index])
        create_container(series.projections, record_key(index, "coarse"), asdict(record) | {"purpose": "coarse"})
    made_by = {"probe": {"key": "a-probe"}, "enhancer": {"name": "lmmse", "digest": "0badcafe"}}
    summarise_series(series, made_by)
    return series.key


def _projections(
    element: str, shape: tuple[int, int], angles: tuple[float, ...], missing: tuple[int, ...]
) -> NDArray[np.float32]:
    pixel_nm = STEP_NM * SHAPE[1] / shape[1]
    maps = np.stack([BLOBS[element].projection_ug_cm2(angle, shape, pixel_nm) for angle in angles])
    maps[list(missing)] = np.nan
    return maps


def settings_for(tiled: RunningTiled, folder: Path) -> Settings:
    """Of a service with a job table in that folder."""
    return Settings(
        tiled=TiledSettings(uri=tiled.uri, api_key=tiled.api_key),
        reconstruction=ReconstructionSettings(port=0, database_uri=f"sqlite:///{folder}/jobs.db"),
    )


@pytest.fixture
def settings(reconstruction_tiled: RunningTiled, tmp_path: Path) -> Settings:
    """Of a service with a job table of its own."""
    return settings_for(reconstruction_tiled, tmp_path)


@pytest.fixture
def start_service() -> Callable[[Settings], AbstractContextManager[str]]:
    """Runs the service of some settings while it is entered, and gives its address."""
    return serve


@pytest.fixture(scope="session")
def service(reconstruction_tiled: RunningTiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running service that the tests share."""
    with serve(settings_for(reconstruction_tiled, tmp_path_factory.mktemp("jobs"))) as address:
        yield address


@pytest.fixture(scope="session")
def api(service: str) -> Iterator[httpx.Client]:
    """Asks the shared service with a good key."""
    with httpx.Client(base_url=f"{service}/api/v1", headers={"X-Api-Key": API_KEY}, timeout=30) as client:
        yield client


@pytest.fixture
def stranger(service: str) -> Iterator[httpx.Client]:
    """Asks it without a key."""
    with httpx.Client(base_url=f"{service}/api/v1", timeout=30) as client:
        yield client


def wait_for_state(api: httpx.Client, job: dict[str, Any], *states: str, within_s: float = 30.0) -> dict[str, Any]:
    """Ask until a job is in one of the states."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        now: dict[str, Any] = api.get(f"/reconstructions/{job['id']}").json()
        if now["state"] in states:
            return now
        time.sleep(0.05)
    raise AssertionError(f"job is {now['state']} ({now['message']}), not {states}, after {within_s} s")


@pytest.fixture
def wait_for() -> Callable[..., dict[str, Any]]:
    """`wait_for_state`."""
    return wait_for_state


class Patient:
    """An algorithm that takes its time, in the table like any other: what is done to a running job can be seen."""

    name = "patient"
    description = "Filtered back-projection after a while"
    capabilities = ALGORITHMS["fbp"].capabilities
    project = staticmethod(ALGORITHMS["fbp"].project)

    def reconstruct(
        self,
        *data: Any,
        seconds: float = 60.0,
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
        account: Account = nobody_asks,
        whole: Whole | None = None,
    ) -> NDArray[np.float32]:
        """`seconds` for each slab."""
        for step in range(round(seconds / 0.02)):
            time.sleep(0.02)
            step_done(0.02 * step / seconds, progress, cancelled)
        return ALGORITHMS["fbp"].reconstruct(*data, account=account, whole=whole)


@pytest.fixture
def patient_algorithm(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an algorithm that takes a minute."""
    monkeypatch.setitem(ALGORITHMS, Patient.name, Patient())
    return Patient.name
