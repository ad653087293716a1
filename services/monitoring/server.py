"""The small HTTP server beside a process that has none: /metrics, /healthz, /readyz."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.errors import SubprobeError
from services.monitoring.checks import Check, look


class MonitorError(SubprobeError):
    """The monitor cannot listen where it should."""


@contextmanager
def monitor_server(
    host: str, port: int, registry: CollectorRegistry, health: Mapping[str, Check], readiness: Mapping[str, Check]
) -> Iterator[int]:
    """Answer in threads of their own while the context is open; yields the port.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        registry: told at /metrics.
        health: at /healthz: restart the process where they fail.
        readiness: at /readyz: wait where they fail.

    Raises:
        MonitorError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(registry, {"/healthz": health, "/readyz": readiness}))
    except OSError as error:
        raise MonitorError(
            f"the monitor cannot listen on port {port} of {host} ({error.strerror}): set SUBPROBE_WORKER__MONITOR_PORT"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="monitor", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(registry: CollectorRegistry, routes: Mapping[str, Mapping[str, Check]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path in routes:
                status, body = look(routes[self.path])
                self._send(status, "application/json", json.dumps(body).encode())
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is /metrics, /healthz and /readyz\n")

        def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a scrape is no event."""

    return Handler
