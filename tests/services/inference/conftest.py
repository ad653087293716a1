"""A worker in a thread, before a real Tiled."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from running_worker import RunningWorker, running_worker

from models.physics.probe import gaussian_probe
from models.superres.enhancer import Enhancer
from services.catalog.client import Catalog
from services.catalog.probes import import_probe
from services.settings import WorkerSettings

StartWorker = Callable[..., AbstractContextManager[RunningWorker]]


@pytest.fixture
def start_worker(catalog: Catalog, tmp_path: Path) -> StartWorker:
    """Runs a worker on the catalogue while the context is open; its enhancer is bicubic unless another is given."""

    def running(enhancer: Enhancer | None = None, name: str = "worker-1") -> AbstractContextManager[RunningWorker]:
        settings = WorkerSettings(name=name, enhancer="bicubic", scale=2, sweep_s=2.0)
        return running_worker(catalog, tmp_path, settings, enhancer)

    return running


@pytest.fixture
def probe(catalog: Catalog) -> str:
    """Key of a probe in the catalogue, for 10 keV."""
    import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "test-probe")
    return "test-probe"
