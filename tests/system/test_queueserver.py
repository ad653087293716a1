"""The plans behind a real queue server, as `deploy/queueserver` sets it up."""

import shutil
from collections.abc import Iterator

import pytest
import yaml
from queue_server import DEPLOYED, QueueServer, queue_server
from tiled_process import TiledProcess

from models.run_schema import PTYCHOGRAPHY_SPEC
from services.catalog.client import Catalog
from services.catalog.runs import finished_probe_scans, finished_projections, projection_start

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not on PATH"),
]

SMALL = {"sample": "ZnMn-32cyc", "fov_um": [0.6, 0.6], "step_nm": 120}
SERIES = SMALL | {"angles_deg": [0, 60, 120]}
SLOW = SMALL | {"dwell_s": 4.0}
"""Some 10 s at the twin's tenfold speed: long enough to be paused."""


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledProcess]:
    """A Tiled server."""
    server = TiledProcess(tmp_path_factory.mktemp("stack"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def catalog(tiled: TiledProcess) -> Iterator[Catalog]:
    """A connection to it."""
    with tiled.connect() as connected:
        yield connected


@pytest.fixture(scope="module")
def opened(tiled: TiledProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueServer]:
    """A queue server whose environment is open."""
    environment = {
        "SUBPROBE_FOLDER": str(tiled.folder.root),
        "SUBPROBE_TILED__URI": tiled.uri,
        "SUBPROBE_TILED__API_KEY": tiled.api_key,
        "SUBPROBE_BEAMLINE__TIME_SCALE": "0.1",
    }
    with queue_server(tmp_path_factory.mktemp("queue"), environment) as server:
        server.told("environment_open")
        server.until(lambda status: status["worker_environment_exists"] and status["manager_state"] == "idle")
        yield server


@pytest.fixture
def queue(opened: QueueServer) -> QueueServer:
    """The same with nothing queued and no history."""
    opened.until_idle()
    opened.told("queue_clear")
    opened.told("history_clear")
    return opened


def test_the_deployed_list_of_plans_and_devices_is_what_the_environment_has(queue):
    deployed = yaml.safe_load((DEPLOYED / "existing_plans_and_devices.yaml").read_text())

    assert deployed["existing_plans"] == queue.told("plans_existing")["plans_existing"]
    assert deployed["existing_devices"] == queue.told("devices_existing")["devices_existing"]


def test_a_series_is_measured_into_the_catalogue_without_a_device_in_its_item(queue, catalog):
    assert queue.add("coarse_flyscan_tomo", **SERIES)["success"]

    (item,) = queue.run_queue()

    assert item["result"]["exit_status"] == "completed"
    newest = list(finished_projections(catalog))[:3]
    assert item["result"]["run_uids"] == [run.run_uid for run in reversed(newest)]
    starts = [projection_start(run.run_uid, run.start) for run in newest]
    assert sorted(start.theta_deg for start in starts) == SERIES["angles_deg"]
    assert "diffraction" not in catalog.raw[newest[0].run_uid]


def test_devices_are_named_by_strings(queue, catalog):
    assert queue.add("flyscan_projection", **SMALL, detectors=["xrf", "camera"])["success"]
    assert queue.add("ptychography_scan", sample="ZnMn-32cyc", dwell_s=0.01, detectors=["xrf", "camera"])["success"]

    projection, probe_scan = queue.run_queue()

    assert {"xrf", "diffraction"} <= set(catalog.raw[projection["result"]["run_uids"][0]])
    assert probe_scan["result"]["run_uids"] == [next(iter(finished_probe_scans(catalog))).run_uid]
    specs = catalog.raw[probe_scan["result"]["run_uids"][0]].specs
    assert PTYCHOGRAPHY_SPEC in [spec.name for spec in specs]


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("coarse_flyscan_tomo", {"angles_deg": 5}, "angles_deg"),
        ("coarse_flyscan_tomo", {"step_nm": "fine"}, "step_nm\n  Input should be a valid number"),
        ("coarse_flyscan_tomo", {"step_nm": -120}, "step_nm"),
        ("coarse_flyscan_tomo", {"motion": "hop"}, "Input should be 'fly' or 'step'"),
        ("coarse_flyscan_tomo", {"elements": "Zn"}, "elements"),
        ("coarse_flyscan_tomo", {"steps_nm": 120}, "unexpected keyword argument 'steps_nm'"),
        ("coarse_flyscan_tomo", {"detectors": ["xrf", "eiger"]}, "detectors.1\n  Input should be 'camera', 'encoders'"),
        ("coarse_flyscan_tomo", {"detectors": ["xrf", "stage"]}, "detectors.1\n  Input should be 'camera', 'encoders'"),
        ("count", {}, "Plan 'count' is not in the list of allowed plans"),
    ],
)
def test_an_item_with_a_wrong_argument_is_refused_as_it_is_queued(queue, name, wrong, told):
    refused = queue.add(name, **SERIES | wrong)

    assert not refused["success"]
    assert told in refused["msg"]
    assert queue.ask("status")["items_in_queue"] == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"fov_um": [4000, 4000]}, "the stage reaches"),
        ({"detectors": ["camera"]}, "detectors has no xrf"),
        ({"detectors": ["xrf"], "diffraction": True}, "detectors has no camera"),
    ],
)
def test_what_only_the_beamline_can_tell_ends_the_item_with_the_reason(queue, catalog, wrong, told):
    runs = len(catalog.raw)
    assert queue.add("flyscan_projection", **SMALL | wrong)["success"]

    (item,) = queue.run_queue()

    assert item["result"]["exit_status"] == "failed"
    assert told in item["result"]["msg"]
    assert len(catalog.raw) == runs


def test_a_paused_plan_goes_on_where_it_was(queue):
    queue.add("flyscan_projection", **SLOW)
    _start_and_pause(queue)

    queue.told("re_resume")
    queue.until_idle()

    (item,) = queue.told("history_get")["items"]
    assert item["result"]["exit_status"] == "completed"


def test_an_aborted_plan_leaves_a_run_that_says_so_and_stands_first_in_the_queue_again(queue, catalog):
    queue.add("flyscan_projection", **SLOW)
    queue.add("flyscan_projection", **SMALL)
    _start_and_pause(queue)

    queue.told("re_abort")
    queue.until_idle()

    (aborted,) = queue.told("history_get")["items"]
    assert aborted["result"]["exit_status"] == "aborted"
    assert catalog.raw[aborted["result"]["run_uids"][0]].metadata["stop"]["exit_status"] == "abort"
    waiting = queue.told("queue_get")["items"]
    assert [item["kwargs"] for item in waiting] == [SLOW, SMALL]


def test_an_environment_that_was_destroyed_opens_again_and_measures_on(queue, catalog):
    queue.told("environment_destroy")
    queue.until(lambda status: not status["worker_environment_exists"])
    queue.told("environment_open")
    queue.until(lambda status: status["worker_environment_exists"] and status["manager_state"] == "idle")
    before = {run.run_uid: run.start["scan_id"] for run in finished_projections(catalog)}

    queue.add("flyscan_projection", **SMALL)
    (item,) = queue.run_queue()

    newest = next(iter(finished_projections(catalog)))
    assert item["result"]["run_uids"] == [newest.run_uid]
    assert newest.start["scan_id"] > max(before.values())


@pytest.mark.parametrize("function", ["clear", "os.system"])
def test_no_function_and_no_device_but_detectors_can_be_reached(queue, function):
    refused = queue.ask(
        "function_execute", item={"item_type": "function", "name": function}, user="a", user_group="primary"
    )

    assert not refused["success"]
    allowed = queue.told("devices_allowed", user_group="primary")["devices_allowed"]
    assert set(allowed) == {"xrf", "scaler", "encoders", "camera"}


def test_no_key_stands_in_the_log(queue, tiled):
    assert tiled.api_key not in queue.log()


def _start_and_pause(queue: QueueServer) -> None:
    queue.told("queue_start")
    queue.until(lambda status: bool(status["running_item_uid"]) and status["re_state"] == "running")
    queue.told("re_pause", option="immediate")
    queue.until(lambda status: status["re_state"] == "paused")
