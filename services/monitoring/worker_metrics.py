"""Figures of an inference worker for Prometheus; no name of a sample, no uid among them."""

import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Protocol

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

OUTCOMES = ("completed", "recovered", "mapped", "settled", "elsewhere", "rejected", "parked")
_STEP_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_LATENCY_BUCKETS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


class Feed(Protocol):
    """What is looked at of a feed's `OfferedRuns`."""

    @property
    def oldest_stop_time(self) -> float | None:
        """When the oldest run ended that is not dealt with, in seconds since the epoch."""

    @property
    def queued(self) -> Mapping[str, int]:
        """Runs that were not handed out, live and backlog."""


class WorkerMetrics:
    """Counts what a worker does; each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        runs = Counter("subprobe_runs", "Runs by what became of them", ["outcome"], registry=self.registry)
        self._runs = {outcome: runs.labels(outcome) for outcome in OUTCOMES}
        self._failures = Counter("subprobe_failures", "Tries that ended with an error", registry=self.registry)
        self._maps = Counter("subprobe_maps", "Element maps written", registry=self.registry)
        self._steps = Histogram(
            "subprobe_step_seconds",
            "Of each step of a projection",
            ["step"],
            registry=self.registry,
            buckets=_STEP_BUCKETS_S,
        )
        self._latency = Histogram(
            "subprobe_latency_seconds",
            "From a scan's end until its maps can be read",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        self._waiting: set[str] = set()
        waiting = Gauge(
            "subprobe_waiting_runs", "Runs that wait for a probe, or for another run", registry=self.registry
        )
        waiting.set_function(lambda: len(self._waiting))

    def describe(self, worker: str, enhancer: str, digest: str, device: str) -> None:
        """Tell what runs here."""
        told = {"worker": worker, "enhancer": enhancer, "enhancer_digest": digest, "device": device}
        told |= {"version": version("subprobe")}
        info = Gauge("subprobe_worker_info", "What runs here", list(told), registry=self.registry)
        info.labels(**told).set(1)
        if device.startswith("cuda") and torch.cuda.is_available():
            self.registry.register(_GpuMemory(device))

    def watch(self, feed: Feed) -> None:
        """Tell of this feed's queue, and how far it is behind the scan."""
        self.registry.register(_Queue(feed))

    def failed(self) -> None:
        """A try at a run ended with an error."""
        self._failures.inc()

    def waits(self, run_uid: str) -> None:
        """A run cannot be processed yet."""
        self._waiting.add(run_uid)

    def ended(self, run_uid: str, outcome: str) -> None:
        """What became of a run, one of `OUTCOMES`."""
        self._waiting.discard(run_uid)
        self._runs[outcome].inc()

    def wrote(self, n_maps: int, step_seconds: Mapping[str, float], latency_s: float) -> None:
        """A projection's maps are written and it is complete."""
        self._maps.inc(n_maps)
        self._latency.observe(latency_s)
        for step, seconds in step_seconds.items():
            self._steps.labels(step).observe(seconds)


class _Queue(Collector):
    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        oldest = self._feed.oldest_stop_time
        lag_s = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("subprobe_lag_seconds", "Since the oldest run ended that is not done", value=lag_s)
        queue = GaugeMetricFamily("subprobe_queue_runs", "Runs that were not begun", labels=["kind"])
        for kind, count in self._feed.queued.items():
            queue.add_metric([kind], count)
        yield queue


class _GpuMemory(Collector):
    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def collect(self) -> Iterable[Metric]:
        memory = GaugeMetricFamily("subprobe_gpu_memory_bytes", "Of the worker's device", labels=["kind"])
        memory.add_metric(["allocated"], torch.cuda.memory_allocated(self._device))
        memory.add_metric(["reserved"], torch.cuda.memory_reserved(self._device))
        memory.add_metric(["total"], torch.cuda.get_device_properties(self._device).total_memory)
        yield memory
