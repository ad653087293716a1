"""What a worker answers to machines: its figures, whether its loop lives, whether it could work now."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.catalog.client import is_answering
from services.inference.status import StatusFile
from services.monitoring.server import monitor_server
from services.monitoring.worker_metrics import WorkerMetrics
from services.settings import Settings


@contextmanager
def monitored(settings: Settings, status: StatusFile, metrics: WorkerMetrics) -> Iterator[int | None]:
    """Answer /metrics, /healthz and /readyz while the context is open, where settings ask for it; yields the port.

    Raises:
        MonitorError: the port is taken.
    """
    worker, uri = settings.worker, str(settings.tiled.uri)
    if worker.monitor_port is None:
        yield None
        return

    def loop() -> str:
        return "" if status.silent_s < worker.silence_s else f"no sign of life for {status.silent_s:.0f} s"

    checks = {
        "loop": loop,
        "enhancer": lambda: "" if status.status.enhancer else "it is still loaded",
        "tiled": lambda: "" if is_answering(uri) else "it does not answer",
    }
    with monitor_server(worker.monitor_host, worker.monitor_port, metrics.registry, {"loop": loop}, checks) as port:
        yield port
