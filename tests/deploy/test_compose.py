"""docker-compose.yml: valid, complete, without a secret in it, and nothing in it runs as root or unwatched."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_file import COMPOSE_FILE, MULTI_USER_FILE, ROOT, compose_document, read_service, variables_of

SERVICES: dict[str, dict[str, Any]] = compose_document()["services"]
ENV_EXAMPLE = ROOT / "deploy/env.example"
BUILT_HERE = re.compile(r"(subprobe(-\w+)?|\$\{RECONSTRUCTION_IMAGE:-subprobe\}):\$\{SUBPROBE_VERSION:-[\d.]+\}")


def described_variables() -> dict[str, bool]:
    """Name of each variable in env.example, and whether it must be filled in."""
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"(#?)([A-Z_]+)=(.*)", line) for line in lines]
    return {match[2]: not match[1] for match in found if match}


def used_variables() -> dict[str, str]:
    """Name of each variable of the compose files, and how it is used."""
    return variables_of("".join(file.read_text(encoding="utf-8") for file in (COMPOSE_FILE, MULTI_USER_FILE)))


def environment_values() -> Iterator[tuple[str, str, str]]:
    """Service, name and value of every environment variable."""
    for service, described in SERVICES.items():
        for name, value in described.get("environment", {}).items():
            yield service, name, value


@pytest.mark.parametrize("file", [COMPOSE_FILE, MULTI_USER_FILE], ids=lambda file: file.stem)
def test_the_file_is_valid_compose(file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# Not a skip: nothing that CI has is missing where the plugin is not installed.
if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:

    def test_compose_itself_takes_the_file() -> None:
        given = {name: "0" for name, is_demanded in described_variables().items() if is_demanded}
        files = ["--file", str(COMPOSE_FILE), "--file", str(MULTI_USER_FILE)]
        for chosen in (files[:2], files):
            command = ["docker", "compose", "--profile", "*", *chosen, "config", "--quiet"]
            taken = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"} | given)
            assert taken.returncode == 0, taken.stderr


def test_every_variable_is_described_and_every_described_one_is_used() -> None:
    assert set(used_variables()) == set(described_variables())


def test_secrets_are_demanded_and_everything_else_has_a_default() -> None:
    used = used_variables()
    demanded = {name for name, is_demanded in described_variables().items() if is_demanded}
    assert {name for name, how in used.items() if how == ":?"} == demanded
    assert {name for name, how in used.items() if how == ":-"} == set(described_variables()) - demanded


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "TILED_API_KEY"])
def test_a_missing_secret_is_refused_with_what_to_do(name: str) -> None:
    given = {other: "0" for other in described_variables() if other != name}
    service = {"POSTGRES_PASSWORD": "postgres", "REDIS_PASSWORD": "redis", "TILED_API_KEY": "worker"}[name]
    with pytest.raises(ValueError, match=r"see deploy/env\.example"):
        read_service(service, given)


def test_no_secret_stands_in_the_file() -> None:
    for service, name, value in environment_values():
        if re.search(r"PASSWORD|API_KEY|REDISCLI_AUTH", name):
            assert re.fullmatch(r"\$\{\w+(:\?[^}]*)?\}", value), f"{service}: {name}"
        for user_and_password in re.findall(r"://(\S*?)@", value):
            assert re.fullmatch(r"\w*:\$\{\w+\}", user_and_password), f"{service}: {name}"


def test_no_secret_reaches_a_command_line() -> None:
    commands = {name: variables_of(" ".join(described.get("command", []))) for name, described in SERVICES.items()}
    secret = {name for name, is_demanded in described_variables().items() if is_demanded}
    assert not {name: used.keys() & secret for name, used in commands.items() if used.keys() & secret}


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert BUILT_HERE.fullmatch(image) or re.fullmatch(r"[\w./-]+:\d+\.\d+\.?\d*-\w+", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root(name: str) -> None:
    described = SERVICES[name]
    assert described.get("user") in ("postgres", "redis") or "build" in described  # ours: test_dockerfile.py
    assert described["cap_drop"] == ["ALL"]
    assert not described.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_everything_that_stays_is_watched_and_started_again(name: str) -> None:
    described = SERVICES[name]
    if name == "tiled-init":  # runs once
        assert described["healthcheck"] == {"disable": True}
        assert described["restart"] == "on-failure"
        return
    assert described["healthcheck"]["test"]
    assert described["restart"] == "unless-stopped"
    if "healthy.py" in str(described["healthcheck"]["test"]):
        assert described["environment"]["HEALTH_URL"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_everything_waits_until_what_it_needs_is_healthy(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if needed == "tiled-init" else "service_healthy"
        assert how == {"condition": wanted}
        assert not SERVICES[needed].get("profiles") or SERVICES[needed]["profiles"] == SERVICES[name]["profiles"]


def test_detectors_and_tiled_see_their_files_at_the_same_path() -> None:
    mounted = [volume for described in SERVICES.values() for volume in described["volumes"] if volume[:4] == "raw:"]
    assert {volume.split(":")[1] for volume in mounted} == {"/data/raw"}
    assert "raw:/data/raw:ro" in SERVICES["tiled"]["volumes"]
    assert "raw:/data/raw" in SERVICES["queueserver"]["volumes"]


def test_only_what_people_use_is_published_and_to_this_machine_alone() -> None:
    published = {name: described["ports"] for name, described in SERVICES.items() if "ports" in described}
    assert set(published) == {"tiled", "reconstruction", "queueserver"}
    for ports in published.values():
        assert all(port.startswith(("127.0.0.1:", "${LISTEN_ADDRESS:-127.0.0.1}:")) for port in ports)


def test_the_gpu_worker_reserves_a_gpu_and_computes_on_it() -> None:
    worker = SERVICES["worker-gpu"]
    assert worker["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert worker["environment"]["SUBPROBE_WORKER__DEVICE"] == "cuda"
    assert worker["build"]["target"] == "cuda"


def test_with_many_users_every_service_has_a_key_of_its_own_and_the_common_one_opens_nothing() -> None:
    many = compose_document(MULTI_USER_FILE)["services"]
    keyed = {name for name, given in SERVICES.items() if "SUBPROBE_TILED__API_KEY" in given.get("environment", {})}
    assert set(many) == keyed | {"tiled", "tiled-init"}
    files = {name: many[name]["environment"]["SUBPROBE_TILED__API_KEY_FILE"] for name in keyed}
    assert {name: file.split("/")[-1] for name, file in files.items()} == {
        "worker": "worker.key",
        "worker-gpu": "worker.key",
        "dask-worker": "worker.key",
        "reconstruction": "reconstruction.key",
        "queueserver": "writer.key",
    }
    assert all(many[name]["environment"]["SUBPROBE_TILED__API_KEY"] == "" for name in keyed)
    config = many["tiled"]["environment"]["TILED_CONFIG"].replace("/deploy/config", "deploy/tiled")
    named = set(variables_of((ROOT / config).read_text(encoding="utf-8"))) - {"NAMES"}  # of its comment
    given = SERVICES["tiled"]["environment"] | many["tiled"]["environment"]
    assert named <= set(given)
