"""Nobody without a good Tiled key gets in, and no key is kept or told."""

import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from services.settings import Settings, TiledSettings

OPEN_TO_ALL = {"/api/v1/healthz", "/api/v1/version"}
NO_JOB = "00000000-0000-4000-8000-000000000000"


def test_every_operation_but_health_and_version_needs_a_key(stranger: httpx.Client) -> None:
    described = stranger.get("/openapi.json").json()
    values = {"key": "a", "job_id": NO_JOB, "element": "Zn", "source": "fitted", "plane": "xy"}
    for path, operations in described["paths"].items():
        for method in operations:
            answer = stranger.request(method, path.format(**values).removeprefix("/api/v1"))
            if path in OPEN_TO_ALL:
                assert answer.status_code == 200
            else:
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"].startswith("Apikey")
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Apikey wrong"},
        {"Authorization": "Apikey"},
        {"Authorization": ""},
        {"Authorization": "Bearer secret"},
        {"Authorization": "Apikey sécret".encode()},
        {"Authorization": "Apikey secret secret"},
        {"Authorization": f"Apikey {'a' * 60_000}"},
        {"Authorization": "Apikey secret\tx"},
        {"Authorization": "Apikey %73ecret"},
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": "ключ".encode()},
        {"X-Api-Key": ""},
        {"Authorization": "Apikey wrong", "X-Api-Key": "secret"},
    ],
)
def test_bad_keys_are_refused(stranger: httpx.Client, headers: dict[str, str | bytes]) -> None:
    answer = stranger.get("/reconstructions", headers=headers)
    assert answer.status_code in (400, 401, 431), answer.text
    assert "secret" not in answer.text


def test_a_key_in_the_address_opens_nothing(stranger: httpx.Client) -> None:
    assert stranger.get("/series", params={"api_key": "secret"}).status_code == 401


def test_line_breaks_in_a_key_end_the_request(stranger: httpx.Client) -> None:
    address = urlsplit(str(stranger.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(
            b"GET /api/v1/series HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Authorization: Apikey wrong\r\n X-Api-Key: secret\r\n\r\n"
        )
        answer = connection.makefile("rb").readline()
    assert answer.split()[1] in (b"400", b"401")


@pytest.mark.parametrize(
    "header", [("Authorization", "Apikey secret"), ("authorization", "APIKEY secret"), ("X-Api-Key", "secret")]
)
def test_a_good_key_is_taken_from_either_header(stranger: httpx.Client, header: tuple[str, str]) -> None:
    assert stranger.get("/reconstructions", headers=[header]).status_code == 200


def test_no_key_is_logged_or_stored(
    settings: Settings,
    start_service: Callable[[Settings], AbstractContextManager[str]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = ("secret", "a0b1c2wrongkey")
    with caplog.at_level(logging.DEBUG), start_service(settings) as address:
        for key in keys:
            httpx.get(f"{address}/api/v1/series", headers={"Authorization": f"Apikey {key}"})
    ours = [record for record in caplog.records if record.name.startswith("services.")]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.db*"))
    for key in keys:
        assert not any(key in record.getMessage() for record in ours)
        assert key.encode() not in stored


def test_without_tiled_callers_are_told_to_try_again(
    settings: Settings, start_service: Callable[[Settings], AbstractContextManager[str]]
) -> None:
    nowhere = settings.model_copy(update={"tiled": TiledSettings(uri="http://127.0.0.1:9", api_key="secret")})
    with start_service(nowhere) as address:
        answer = httpx.get(f"{address}/api/v1/series", headers={"X-Api-Key": "secret"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["type"] == "urn:subprobe:problem:tiled-unreachable"
        assert httpx.get(f"{address}/api/v1/healthz").status_code == 200
