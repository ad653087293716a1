"""The worker's word about itself in Tiled, told by a thread of its own so that no projection waits for it."""

import logging
import threading
import time
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self

from services.catalog.client import Catalog, is_answering
from services.catalog.records import CatalogError
from services.catalog.workers import publish_worker
from services.inference.status import StatusFile, WorkerStatus

log = logging.getLogger(__name__)

PUBLISH_EVERY_S = 10.0
_LOOK_S = 0.5
_LAST_WORD_S = 5.0  # an orchestrator gives some 30 s to stop, and Tiled may be away just then


class Presence:
    """Publishes a status while the block is entered, and ``stopped`` where it is left in good order.

    Every ten seconds, and when the state changes; between idle and processing it changes by the second, and these are
    told by the next beat. A worker that dies says nothing more, which is how others know.
    """

    def __init__(self, catalog: Catalog, status: StatusFile) -> None:
        self._catalog = catalog
        self._status = status
        self._over = threading.Event()
        self._last: WorkerStatus | None = None
        self._thread = threading.Thread(target=self._tell, name="presence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._last = replace(self._status.status, state="stopped", updated_at=time.time())
        self._over.set()
        self._thread.join(_LAST_WORD_S)

    def _tell(self) -> None:
        told, told_at = "", 0.0
        while not self._over.wait(_LOOK_S):
            status = self._status.status
            state = "works" if status.state in ("idle", "processing") else status.state
            if state != told or time.monotonic() - told_at >= PUBLISH_EVERY_S:
                self._publish(status)
                told, told_at = state, time.monotonic()
        if self._last is not None:
            self._publish(self._last)

    def _publish(self, status: WorkerStatus) -> None:
        if not is_answering(self._catalog.uri):
            return
        try:
            publish_worker(self._catalog, status.name, asdict(status))
        except CatalogError as error:
            log.warning("the worker's state could not be told: %s", error)
        except Exception:
            log.exception("the worker's state could not be told")
