"""What a worker answers to machines while it works before a real Tiled."""

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.physics.probe import gaussian_probe
from models.run_schema import I0
from models.superres.enhancers import make_enhancer
from services.catalog.probes import import_probe
from services.inference.monitored import monitored
from services.inference.status import StatusFile
from services.inference.worker import Worker
from services.monitoring.server import MonitorError
from services.monitoring.worker_metrics import WorkerMetrics
from services.settings import Settings


def _settings(uri: str, **worker: object) -> Settings:
    asked = {"monitor_port": 0, "enhancer": "bicubic", "scale": 2, "sweep_s": 0.5, **worker}
    return Settings.model_validate({"tiled": {"uri": uri}, "worker": asked})


def _ask(port: int | None, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def _samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_what_a_worker_did_and_what_it_is_behind_with_is_told_without_any_name(
    catalog, tiled_server, run_writer, projection_start, tmp_path
):
    start = replace(projection_start, elements=("Zn",), n_angles=2, angles_deg=(-60.0, 60.0))
    uids = [run_writer.write(start, time=time.time() - 100.0)]
    settings, metrics, stop = _settings(tiled_server.uri), WorkerMetrics(), threading.Event()
    status = StatusFile(tmp_path, "worker-1")
    worker = Worker(catalog, make_enhancer("bicubic"), settings.worker, status, stop, metrics)
    thread = threading.Thread(target=worker.run)
    thread.start()

    def told(*name: str) -> float:
        return _samples(generate_latest(metrics.registry).decode()).get(name, 0.0)

    def until(*name: str, is_now: float) -> None:
        deadline = time.monotonic() + 30
        while told(*name) != is_now:
            assert time.monotonic() < deadline, (name, told(*name), status.status)
            time.sleep(0.05)

    try:
        until("subprobe_waiting_runs", is_now=1)
        assert 95 < told("subprobe_lag_seconds") < 200
        import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "late")
        until("subprobe_runs_total", "completed", is_now=1)
        until("subprobe_lag_seconds", is_now=0)
        uids.append(run_writer.write(replace(start, angle_index=1), leave_out=(I0,)))
        until("subprobe_runs_total", "rejected", is_now=1)
    finally:
        stop.set()
        thread.join()

    assert (told("subprobe_waiting_runs"), told("subprobe_maps_total"), told("subprobe_failures_total")) == (0, 1, 0)
    assert told("subprobe_step_seconds_count", "enhance") == told("subprobe_latency_seconds_count") == 1
    assert told("subprobe_queue_runs", "live") == told("subprobe_queue_runs", "backlog") == 0
    scrape = generate_latest(metrics.registry).decode()
    assert not [name for name in (*uids, start.series_uid, "ZnMn", tiled_server.api_key) if name in scrape]


def test_a_worker_is_ready_once_its_enhancer_is_loaded_and_tiled_answers(tiled_server, tmp_path):
    status = StatusFile(tmp_path, "worker-1")
    with monitored(_settings(tiled_server.uri), status, WorkerMetrics()) as port:
        code, body = _ask(port, "/readyz")
        assert (code, json.loads(body)["problems"]) == (503, {"enhancer": "it is still loaded"})
        status.update(enhancer="bicubic 1")
        assert _ask(port, "/readyz") == (200, json.dumps({"status": "ok"}))
    with monitored(_settings("http://127.0.0.1:1"), status, WorkerMetrics()) as port:
        code, body = _ask(port, "/readyz")
        assert (code, json.loads(body)["problems"]) == (503, {"tiled": "it does not answer"})
        assert _ask(port, "/healthz")[0] == 200
        assert "subprobe_runs_total" in _ask(port, "/metrics")[1]
        assert _ask(port, "/else")[0] == 404
    with pytest.raises(urllib.error.URLError):
        _ask(port, "/healthz")


def test_a_loop_that_gave_no_sign_of_life_for_too_long_is_not_healthy(tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "worker-1")
    with monitored(_settings("http://127.0.0.1:1", silence_s=0.2), status, WorkerMetrics()) as port:
        assert _ask(port, "/healthz")[0] == 200
        time.sleep(0.25)
        code, body = _ask(port, "/healthz")
        assert code == 503
        assert "no sign of life" in json.loads(body)["problems"]["loop"]
        status.beat(every_s=0.0)
        assert _ask(port, "/healthz")[0] == 200


def test_a_taken_port_is_told_and_no_port_is_no_monitor(tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "worker-1")
    with monitored(_settings("http://127.0.0.1:1"), status, WorkerMetrics()) as port:
        taken = _settings("http://127.0.0.1:1", monitor_port=port)
        with (
            pytest.raises(MonitorError, match="SUBPROBE_WORKER__MONITOR_PORT"),
            monitored(taken, status, WorkerMetrics()),
        ):
            pass
    with monitored(_settings("http://127.0.0.1:1", monitor_port=None), status, WorkerMetrics()) as port:
        assert port is None
