"""Requests of every shape that our OpenAPI document allows, and others, for a while: no 5xx, and nothing hangs.

``SUBPROBE_OPENAPI_MINUTES`` says for how long.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import openapi_hooks
import pytest
from process_tree import wait_until
from projection_runs import SMALL_PROJECTION, RunWriter
from topology import Size, Topology, running_topology

from models.physics.probe import gaussian_probe
from services.catalog.probes import import_probe
from services.catalog.products import list_series
from services.stack.processes import console_script

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

MINUTES = float(os.environ.get("SUBPROBE_OPENAPI_MINUTES", "2"))
SEED = 20261126
LONGEST_ANSWER_S = 20


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """One of each, on PostgreSQL."""
    environment = {"SUBPROBE_WORKER__ENHANCER": "bicubic", "SUBPROBE_WORKER__SCALE": "2"}
    with running_topology(tmp_path_factory.mktemp("openapi"), Size(1, 1, 1, 0), environment) as running:
        yield running


@pytest.fixture(scope="module")
def there(topology: Topology) -> dict[str, str]:
    """What the paths' parameters may name: a series of four angles, and the job that made its volume."""
    with topology.connect() as catalog:
        import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "round")
        writer, angles = RunWriter(catalog, topology.folder / "raw"), (0.0, 45.0, 90.0, 135.0)
        start = replace(SMALL_PROJECTION, probe="round", n_angles=len(angles), angles_deg=angles)
        for index, angle in enumerate(angles):
            writer.write(replace(start, angle_index=index, theta_deg=angle))
        wait_until(lambda: [series.state for series in list_series(catalog)] == ["complete"], 120, "the series is done")
        key = list_series(catalog)[0].key
    with topology.api() as api:
        asked = {"series": key, "algorithm": "fbp", "centre": 4.5}
        job = api.post("/reconstructions", json=asked).raise_for_status().json()["id"]
        wait_until(lambda: api.get(f"/reconstructions/{job}").json()["state"] == "succeeded", 120, "there is a volume")
    return {"key": key, "job_id": job, "source": "enhanced", "element": "Zn", "plane": "xy"}


def test_no_request_of_any_shape_breaks_or_hangs_the_service(topology: Topology, there: dict[str, str]) -> None:
    command = [
        console_script("schemathesis"), "run", f"{topology.service_uri()}/api/v1/openapi.json",
        "--header", f"Authorization: Apikey {topology.api_key}",
        "--checks", "not_a_server_error", "--max-time", str(round(60 * MINUTES)), "--max-examples", "100000",
        "--request-timeout", str(LONGEST_ANSWER_S), "--seed", str(SEED), "--suppress-health-check", "all",
        "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    hooks = Path(openapi_hooks.__file__)
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": hooks.stem,
        "PYTHONPATH": str(hooks.parent),
        "OPENAPI_THERE": json.dumps(there),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=topology.folder, env=environment, timeout=60 * MINUTES + 900
    )
    print("\n" + "\n".join(done.stdout.splitlines()[-25:]))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(r"\d+ generated", done.stdout), done.stdout[-3000:]
    assert httpx.get(f"{topology.service_uri()}/api/v1/healthz", timeout=10).is_success
    assert "Traceback" not in topology.log("reconstruction-1")
