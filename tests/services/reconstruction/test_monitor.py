"""What Prometheus and an orchestrator ask of the service, without a key."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.monitoring.service_metrics import ServiceMetrics
from services.reconstruction.jobs import JobStore
from services.settings import Settings

Wait = Callable[..., dict[str, Any]]
Start = Callable[[Settings], AbstractContextManager[str]]


@pytest.fixture
def root(service: str) -> httpx.Client:
    """The shared service at its root, without a key."""
    return httpx.Client(base_url=service, timeout=30)


def samples(root: httpx.Client) -> dict[tuple[str, ...], float]:
    """Every figure of a scrape by its name and the values of its labels."""
    answer = root.get("/metrics")
    assert answer.status_code == 200
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def test_jobs_are_counted_by_state_and_their_time_by_how_they_ended(
    api: httpx.Client, root: httpx.Client, series_key: str, torn_series_key: str, wait_for: Wait
) -> None:
    before = samples(root)
    request = {"algorithm": "fbp", "fsc": False, "elements": ["Zn"]}
    done = wait_for(api, api.post("/reconstructions", json={"series": series_key, **request}).json(), "succeeded")
    wait_for(api, api.post("/reconstructions", json={"series": torn_series_key, **request}).json(), "failed")

    def more(*name: str) -> float:
        return samples(root)[name] - before[name]

    assert (more("subprobe_jobs", "succeeded"), more("subprobe_jobs", "failed")) == (1, 1)
    deadline = time.monotonic() + 10
    while more("subprobe_job_seconds_count", "failed") < 1:  # counted once what is unfinished is removed
        assert time.monotonic() < deadline
    assert more("subprobe_job_seconds_count", "succeeded") == 1
    scrape = root.get("/metrics").text
    assert not [name for name in (series_key, done["id"], "cathode", "secret") if name in scrape]


def test_requests_are_timed_by_route_template_and_status(
    api: httpx.Client, stranger: httpx.Client, root: httpx.Client
) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    api.get(f"/reconstructions/{unknown}")
    stranger.get("/series")
    root.get("/no/such/place")
    told = samples(root)
    assert told["subprobe_request_seconds_count", "GET", "/reconstructions/{job_id}", "404"] >= 1
    assert told["subprobe_request_seconds_count", "GET", "/series", "401"] >= 1
    assert told["subprobe_request_seconds_count", "GET", "none", "404"] >= 1
    assert unknown not in root.get("/metrics").text
    root.request("MAKEUPNAME", "/no/such/place")
    assert "MAKEUPNAME" not in root.get("/metrics").text


def test_a_service_that_works_is_healthy_and_ready_and_its_description_leaves_probes_out(
    api: httpx.Client, root: httpx.Client
) -> None:
    assert root.get("/healthz").json() == root.get("/readyz").json() == {"status": "ok"}
    assert not {"/healthz", "/readyz", "/metrics"} & set(api.get("/openapi.json").json()["paths"])
    assert api.get("/healthz").json() == {"status": "ok"}


def test_a_service_without_tiled_lives_is_not_ready_and_says_why(settings: Settings, start_service: Start) -> None:
    tiled = settings.tiled.model_copy(update={"uri": "http://127.0.0.1:1"})
    with start_service(settings.model_copy(update={"tiled": tiled})) as address, httpx.Client(base_url=address) as root:
        assert root.get("/healthz").status_code == 200
        ready = root.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "problems": {"tiled": "it does not answer"}}


def test_a_scrape_tells_the_rest_also_where_the_job_table_is_away(tmp_path: Path) -> None:
    store, metrics = JobStore(f"sqlite:///{tmp_path}/jobs.db"), ServiceMetrics()
    metrics.watch(store.census)
    assert b"subprobe_job_table_up 1.0" in generate_latest(metrics.registry)
    store.close()
    (tmp_path / "jobs.db").unlink()
    (tmp_path / "jobs.db").mkdir()
    told = generate_latest(metrics.registry)
    assert b"subprobe_job_table_up 0.0" in told
    assert b"subprobe_service_info" in told


def test_the_queue_is_as_old_as_its_oldest_job(tmp_path: Path) -> None:
    store = JobStore(f"sqlite:///{tmp_path}/jobs.db")
    assert store.census().queue_age_s == 0
    first = store.create("a", {})
    store.create("b", {})
    census = store.census()
    assert census.states == {"queued": 2, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    assert 0 < census.queue_age_s < 60
    store.cancel(first.id)
    assert store.census().states["cancelled"] == 1
    assert [job.series_key for job in store.newest("queued")] == ["b"]
    store.close()
