"""Requests of every shape that our OpenAPI document allows, and others, for a while: no 5xx, and nothing hangs.

``SUBPROBE_OPENAPI_MINUTES`` says for how long.
"""

import os
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from topology import Size, Topology, running_topology

from services.stack.processes import console_script

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

MINUTES = float(os.environ.get("SUBPROBE_OPENAPI_MINUTES", "2"))
SEED = 20261126
LONGEST_ANSWER_S = 20


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """One of each, on PostgreSQL."""
    with running_topology(tmp_path_factory.mktemp("openapi"), Size(1, 0, 1, 0)) as running:
        yield running


def test_no_request_of_any_shape_breaks_or_hangs_the_service(topology: Topology) -> None:
    command = [
        console_script("schemathesis"), "run", f"{topology.service_uri()}/api/v1/openapi.json",
        "--header", f"Authorization: Apikey {topology.api_key}",
        "--checks", "not_a_server_error", "--max-time", str(round(60 * MINUTES)), "--max-examples", "100000",
        "--request-timeout", str(LONGEST_ANSWER_S), "--seed", str(SEED), "--suppress-health-check", "all",
        "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=topology.folder, timeout=60 * MINUTES + 900)
    print("\n" + "\n".join(done.stdout.splitlines()[-25:]))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(r"\d+ generated", done.stdout), done.stdout[-3000:]
    assert httpx.get(f"{topology.service_uri()}/api/v1/healthz", timeout=10).is_success
    assert "Traceback" not in topology.log("reconstruction-1")
