"""Figures of the reconstruction service for Prometheus; no name of a series or a caller among them."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JobEnd = Literal["succeeded", "failed", "cancelled", "given back"]
_JOB_BUCKETS_S = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0, 10800.0)
_REQUEST_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Anything else comes from strangers and would be a label each."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Census:
    """The job table in figures, the same whichever replica tells them.

    Attributes:
        states: how many jobs are in each state.
        queue_age_s: since the oldest job was asked for that waits to be begun; 0 where none waits.
    """

    states: Mapping[str, int]
    queue_age_s: float


class ServiceMetrics:
    """Counts what a replica does; each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Gauge("subprobe_service_info", "What runs here", ["version"], registry=self.registry)
        info.labels(version("subprobe")).set(1)
        running = Histogram(
            "subprobe_job_seconds",
            "From a job's begin to its end, by how it ended",
            ["end"],
            registry=self.registry,
            buckets=_JOB_BUCKETS_S,
        )
        self._jobs: dict[JobEnd, Histogram] = {end: running.labels(end) for end in get_args(JobEnd)}
        self._requests = Histogram(
            "subprobe_request_seconds",
            "From a request to the head of its answer",
            ["method", "route", "status"],
            registry=self.registry,
            buckets=_REQUEST_BUCKETS_S,
        )

    def watch(self, census: Callable[[], Census]) -> None:
        """Ask the job table at each scrape."""
        self.registry.register(_Jobs(census))

    def job_ended(self, end: JobEnd, seconds: float) -> None:
        """This replica ended a job, or gave it back."""
        self._jobs[end].observe(seconds)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; ``route`` is a template, never a path that was asked for."""
        self._requests.labels(method, route, str(status)).observe(seconds)


class RequestTimer:
    """ASGI middleware that times each request; an event stream counts until it begins."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, is_answered = time.perf_counter(), False

        def answered(status: int) -> None:
            nonlocal is_answered
            is_answered = True
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, route, status, time.perf_counter() - began)

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_timed)
        except Exception:
            if not is_answered:
                answered(500)  # the defect's answer is made outside of all middleware
            raise


class _Jobs(Collector):
    def __init__(self, census: Callable[[], Census]) -> None:
        self._census = census

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("subprobe_job_table_up", "1 where the job table answers")
        try:
            census = self._census()
        except Exception as error:  # a scrape must tell the rest also where the table is down
            _log.warning("the job table does not answer a scrape: %s", error)
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        states = GaugeMetricFamily("subprobe_jobs", "Jobs of all replicas by state", labels=["state"])
        for state, count in census.states.items():
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily(
            "subprobe_job_queue_age_seconds", "Since the oldest job was asked for that waits", value=census.queue_age_s
        )
