"""The reconstruction service on a real port of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from services.reconstruction.app import create_app
from services.settings import Settings


@contextmanager
def serve(settings: Settings) -> Iterator[str]:
    """Run the service on a real port in a thread; yields its address."""
    config = uvicorn.Config(create_app(settings, lease_s=2.0), port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()
