import time
from collections.abc import Iterator

import pytest
from running_stack import RunningStack, start_stack, stop_stack

from models.physics.probe import save_probe, zone_plate_probe
from services.catalog.client import Catalog, connect
from services.catalog.products import list_series
from services.catalog.records import SeriesRecord

N_ANGLES = 8
SCAN = f"""
RE(coarse_flyscan_tomo(sample="ZnMn-32cyc", angles_deg=angles({N_ANGLES}), fov_um=[4.8, 4.8], step_nm=300))
print("newest run is complete:", raw[-1].metadata["stop"]["exit_status"])
"""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all system tests."""
    running = start_stack(tmp_path_factory.mktemp("stack"))
    yield running
    stop_stack(running)


@pytest.fixture(scope="session")
def catalog(stack: RunningStack) -> Iterator[Catalog]:
    """A connection to the stack's catalogue."""
    tiled = stack.settings().tiled
    with connect(str(tiled.uri), tiled.api_key.get_secret_value()) as connected:
        yield connected


@pytest.fixture(scope="session")
def series(stack: RunningStack, catalog: Catalog) -> SeriesRecord:
    """A probe imported by the command, a series taken in the shell, enhanced by the worker."""
    save_probe(stack.folder.parent / "my-probe.npz", zone_plate_probe())
    imported = stack.command("probe", "import", "my-probe.npz", "--folder", "subprobe-data")
    assert imported.returncode == 0, imported.stderr
    assert "nm FWHM at 10 keV" in imported.stdout
    shell = stack.command("shell", "--folder", "subprobe-data", typed=SCAN)
    assert "newest run is complete: success" in shell.stdout, shell.stdout + shell.stderr
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list_series(catalog)
        if found and found[0].state == "complete":
            return found[0]
        time.sleep(0.5)
    pytest.fail(f"the worker did not finish: {(stack.folder / 'logs' / 'worker.log').read_text()[-2000:]}")
