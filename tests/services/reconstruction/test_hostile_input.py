"""Whatever comes in, a problem document goes out, and never a 5xx."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case

from services.catalog.client import Catalog

NO_JOB = "00000000-0000-4000-8000-000000000000"


def test_no_generated_request_breaks_the_service(
    api: httpx.Client, series_key: str, incomplete_series_key: str
) -> None:
    schema = schemathesis.openapi.from_url(f"{api.base_url}openapi.json")
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=4, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )
        @given(operation.as_strategy())
        def never_fails(case: Case) -> None:
            if "key" in case.path_parameters and case.path_parameters["key"].isascii():
                case.path_parameters["key"] = series_key  # else nothing would get beyond "unknown series"
            if isinstance(case.body, dict) and case.body.get("series"):
                case.body |= {"series": incomplete_series_key, "allow_incomplete": False}  # checked, but not queued
            answer = case.call(headers={"X-Api-Key": "secret"})
            assert answer.status_code < 500, answer.text

        never_fails()


@pytest.mark.parametrize(
    "path",
    [
        "/series/..",
        "/series/%2e%2e",
        "/series/%2e%2e%2fraw",
        "/series/..%2F..%2Fetc%2Fpasswd",
        "/series/a%00b",
        "/series/%00",
        "/series/%ff%fe",
        "/series/.hidden",
        "/series/a%0d%0ab",
        f"/series/{'a' * 8000}",
        "/series/%E2%80%AE",
        "/series/-",
        "/series/a%5Cb",
        "/series/KEY/thumbnail/enhanced/..%2FZn.png",
        "/series/KEY/thumbnail/enhanced/%00.png",
        "/series/KEY/thumbnail/raw/Zn.png",
        "/series/KEY/fitted",
        "/reconstructions/..",
        "/reconstructions/1",
        f"/reconstructions/{NO_JOB}",
        f"/reconstructions/{NO_JOB}/events",
        f"/reconstructions/{NO_JOB}/slice/Zn/xy.png",
        "/reconstructions?series=../raw",
        "/reconstructions?series=%00",
        "/reconstructions?state=dead",
        "/reconstructions?limit=0",
        f"/reconstructions?limit={10**40}",
        "/reconstructions?offset=-1",
        "/static/../app.py",
        "/nothing",
    ],
)
def test_tricks_in_an_address_find_nothing(api: httpx.Client, series_key: str, path: str) -> None:
    answer = api.get(path.replace("KEY", series_key))
    assert answer.status_code in (404, 422), answer.text
    assert_problem(answer)


def test_tricks_do_not_reach_the_files_of_the_service(service: str) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        answer = httpx.get(service + path)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Field required"),
        ({"series": 5}, "valid string"),
        ({"series": ""}, "at least 1 character"),
        ({"series": "KEY", "sources": "fitted"}, "there is no field 'sources': allowed are series, elements, source"),
        ({"series": "KEY", "source": "raw"}, "'fitted' or 'enhanced'"),
        ({"series": "KEY", "algorithm": "magic"}, "there is no algorithm 'magic': allowed are fbp, mlem"),
        ({"series": "KEY", "algorithm": ["fbp"]}, "valid string"),
        ({"series": "KEY", "elements": []}, "at least 1 item"),
        ({"series": "KEY", "elements": "Zn"}, "valid list"),
        ({"series": "KEY", "elements": ["Zn", "Zn"]}, "each element once"),
        ({"series": "KEY", "elements": ["Fe"]}, "the series has no Fe: allowed are Zn, Mn"),
        ({"series": "KEY", "elements": [None]}, "valid string"),
        ({"series": "KEY", "centre": "middle"}, 'pass "auto", "refine" or'),
        ({"series": "KEY", "centre": True}, 'pass "auto", "refine" or'),
        ({"series": "KEY", "centre": -1}, "the enhanced maps are 32 pixels wide"),
        ({"series": "KEY", "centre": 20, "source": "fitted"}, "the fitted maps are 16 pixels wide"),
        ({"series": "KEY", "centre": 1e308}, 'pass "auto", "refine" or'),
        ({"series": "KEY", "align": "jitter", "align_on": "Fe"}, "pass sum, or one of Zn, Mn"),
        ({"series": "KEY", "align": "drift"}, "'none' or 'jitter'"),
        ({"series": "KEY", "angles": {"reproject_to": 4}}, "the series has 8 angles: ask for more"),
        ({"series": "KEY", "angles": {"reproject_to": 16}, "source": "fitted"}, "source enhanced only"),
        ({"series": "KEY", "angles": {"reproject_to": 16, "enhancer": "/etc/passwd"}}, "there is no enhancer"),
        ({"series": "KEY", "fsc": 1}, "valid boolean"),
        ({"series": "KEY", "allow_incomplete": "yes"}, "valid boolean"),
        ({"series": "KEY", "algorithm": "fbp", "parameters": {"cutoff": 2}}, "less than or equal to 1"),
        ({"series": "KEY", "algorithm": "fbp", "parameters": {"iterations": 2}}, "Allowed are window, cutoff"),
        ({"series": "KEY", "parameters": 5}, "valid dictionary"),
        ([], "valid dictionary"),
        ("series", "valid dictionary"),
        (None, "Field required"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(api: httpx.Client, series_key: str, body: Any, said: str) -> None:
    if isinstance(body, dict) and body.get("series") == "KEY":
        body = body | {"series": series_key}
    answer = api.post("/reconstructions", json=body)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert all(error["field"].startswith("body") for error in answer.json()["errors"])
    assert_problem(answer)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"series": "KEY", "centre": NaN}',
        b'{"series": "KEY", "centre": Infinity}',
        b'{"series": "KEY", "centre": 1e999}',
        b'{"series": "KEY", "centre": ' + b"9" * 4000 + b"}",
        b'{"series": "KEY", "centre": ' + b"9" * 6000 + b"}",
        b'{"series": "KEY", "parameters": {"cutoff": -Infinity}}',
        b'{"series": "KEY", "parameters": {"cutoff": ' + b"9" * 4000 + b"}}",
        b'{"series": "\\ud800"}',
        b'{"\\ud800": 1, "series": "KEY"}',
        b'{"series": "a\\u0000b"}',
        b'{"series": "' + b"a" * 60_000 + b'"}',
        b"[" * 30_000 + b"]" * 30_000,
        b'{"series": "KEY", "elements": [' + b'"Zn",' * 5000 + b'"Zn"]}',
    ],
)
def test_strange_json_is_refused(api: httpx.Client, series_key: str, content: bytes) -> None:
    body = content.replace(b"KEY", series_key.encode())
    answer = api.post("/reconstructions", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert_problem(answer)


def test_a_huge_body_is_refused_unread(api: httpx.Client) -> None:
    answer = api.post("/reconstructions", content=b"a" * 2_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert_problem(answer)
    unannounced = api.post("/reconstructions", content=(b"a" * 10_000 for _ in range(200)))
    assert unannounced.status_code == 413
    assert_problem(unannounced)


def test_an_unknown_series_is_no_series(api: httpx.Client, tiled_catalog: Catalog) -> None:
    tiled_catalog.processed.create_container("not-a-series")
    for name in ("nothing", "not-a-series", "../raw", "projections"):
        answer = api.post("/reconstructions", json={"series": name})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:subprobe:problem:unknown-series")
    tiled_catalog.processed.delete_contents(["not-a-series"], recursive=True)


def test_a_wrong_method_is_told_the_right_one(api: httpx.Client) -> None:
    answer = api.delete("/reconstructions")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) & {"GET", "POST"}
    assert_problem(answer)


def assert_problem(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert {"type", "title", "detail", "instance"} <= set(document)
    assert len(answer.content) < 100_000
