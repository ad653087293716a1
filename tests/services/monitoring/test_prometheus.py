"""The example files for Prometheus ask for figures that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.monitoring.service_metrics import Census, ServiceMetrics
from services.monitoring.worker_metrics import OUTCOMES, WorkerMetrics

PROMETHEUS = Path(__file__).parents[3] / "deploy" / "prometheus"


class QuietFeed:
    """Of a worker that has nothing to do."""

    oldest_stop_time = None
    queued: dict[str, int] = {"live": 0, "backlog": 0}  # noqa: RUF012


@pytest.fixture
def told() -> set[str]:
    """Names of all figures that a worker and a service tell."""
    worker, service = WorkerMetrics(), ServiceMetrics()
    worker.describe("worker-1", "bicubic", "0", "cpu")
    worker.watch(QuietFeed())
    service.watch(lambda: Census({"queued": 0}, 0.0))
    return _names(worker.registry) | _names(service.registry)


def _names(registry: CollectorRegistry) -> set[str]:
    return {sample.name for family in registry.collect() for sample in family.samples}


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_every_figure_that_an_alert_asks_for_is_told(rules: list[dict[str, Any]], told: set[str]) -> None:
    for rule in rules:
        assert set(re.findall(r"subprobe_\w+", rule["expr"])) <= told, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "do"}


def test_alerts_cover_a_dead_worker_the_lag_failures_and_the_queue(rules: list[dict[str, Any]]) -> None:
    asked = {rule["alert"]: rule["expr"] for rule in rules}
    assert asked.keys() == {"SubprobeWorkerDown", "SubprobeBehindTheScan", "SubprobeFailures", "SubprobeJobsWait"}
    assert all(outcome in OUTCOMES for outcome in re.findall(r'outcome=~"(\w+)\|(\w+)"', asked["SubprobeFailures"])[0])
    for expression in asked.values():
        assert expression.count("(") == expression.count(")")


def test_alerts_name_the_jobs_that_are_scraped_and_the_files_name_each_other(rules: list[dict[str, Any]]) -> None:
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {one["job_name"] for one in scraped["scrape_configs"]}
    named = {job for rule in rules for job in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert named <= jobs == {"subprobe-worker", "subprobe-reconstruction"}
    assert scraped["rule_files"] == ["alerts.yml"]
