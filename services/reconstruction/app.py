"""The service: its parts put together, and the process that serves it."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from services.monitoring.service_metrics import RequestTimer, ServiceMetrics
from services.reconstruction import info_routes, job_routes, monitor_routes, nexus_routes, problems, series_routes
from services.reconstruction.auth import Doorkeeper
from services.reconstruction.body_limit import BodyLimit
from services.reconstruction.dependencies import CatalogConnection
from services.reconstruction.jobs import JobStore
from services.reconstruction.runner import Runner
from services.reconstruction.work import Means
from services.settings import Settings

_WEB = Path(__file__).parent / "web"
_LARGEST_REQUEST_BYTES = 64 * 1024
# The page holds a key while it is open: nothing foreign may run in it, frame it, or learn its address.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_DESCRIPTION = """Turns the element maps of an angle series into volumes.

Every operation needs a Tiled API key, sent as `Authorization: Apikey <key>`. Ask for a volume, follow it, look at it:

```
curl -H "Authorization: Apikey $KEY" -H "Content-Type: application/json" -d '{"series": "<key>"}' http://<host>/api/v1/reconstructions
curl -H "Authorization: Apikey $KEY" -N http://<host>/api/v1/reconstructions/<id>/events
```

Every error is a problem document (RFC 9457) whose `detail` says what was needed, what came and what to do.
"""


def create_app(settings: Settings, lease_s: float = 15.0) -> FastAPI:
    """The ASGI application; it starts its runner with the server and stops it with the server.

    Args:
        settings: of the process.
        lease_s: a job whose process gave no sign of life for so long is taken by another.
    """
    app = FastAPI(
        title="subprobe reconstruction",
        version="1",
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    catalog = CatalogConnection(settings.tiled)
    store = JobStore(settings.reconstruction.database_uri, lease_s)
    app.state.catalog = catalog
    app.state.store = store
    app.state.doorkeeper = Doorkeeper(str(settings.tiled.uri))
    reconstruction = settings.reconstruction
    limit_bytes = None if reconstruction.memory_gb is None else reconstruction.memory_gb * 1e9
    means = Means(reconstruction.compute, limit_bytes)
    app.state.metrics = metrics = ServiceMetrics()
    metrics.watch(store.census)
    app.state.runner = Runner(store, catalog.get, reconstruction.threads, means, metrics)
    app.state.stopping = threading.Event()
    app.state.tiled_uri = str(settings.tiled.uri)
    app.state.tiled_for_people = str(settings.tiled.public_uri or settings.tiled.uri).rstrip("/")
    problems.install(app)
    app.add_middleware(BodyLimit, largest_bytes=_LARGEST_REQUEST_BYTES)
    app.add_middleware(RequestTimer, metrics=metrics)
    for routes in (series_routes, job_routes, nexus_routes, info_routes):
        app.include_router(routes.router, prefix="/api/v1")
    app.include_router(monitor_routes.router)
    _serve_pages(app)
    return app


def main(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, also with open event streams; a running job goes back to the queue."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.reconstruction.host,
        port=settings.reconstruction.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    for chatty in ("httpx", "uvicorn.access"):  # a line for each request, and the page asks often
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with suppress(KeyboardInterrupt):  # uvicorn raises it once more after it has stopped in good order
        _Server(config, app.state.stopping).run()


class _Server(uvicorn.Server):
    """Tells event streams to end as soon as a signal comes; uvicorn by itself would wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.runner.start()
    yield
    app.state.stopping.set()
    await run_sync(app.state.runner.stop)
    app.state.doorkeeper.close()
    app.state.catalog.close()
    app.state.store.close()


def _serve_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=_WEB), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_WEB / "index.html", headers=_PAGE_HEADERS)

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(_WEB / "docs.html", headers=_PAGE_HEADERS)
