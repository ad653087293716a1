"""What a worker does now, as a small file in ``<folder>/status``: for `subprobe status` and for people at 3 am."""

import json
import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)

WorkerState = Literal["starting", "idle", "processing", "waiting for Tiled", "stopped"]


@dataclass(frozen=True)
class WorkerStatus:
    """One look at one worker."""

    name: str
    pid: int
    state: WorkerState = "starting"
    started_at: float = 0.0
    """This and the other times: seconds since the epoch."""
    updated_at: float = 0.0
    """A worker that lives writes every few seconds."""
    n_done: int = 0
    """Projections completed since it started."""
    n_probes: int = 0
    """Found from ptychography runs since it started."""
    n_mapped: int = 0
    """Structured-illumination runs mapped since it started."""
    n_waiting: int = 0
    """Runs offered to it and not begun."""
    n_rejected: int = 0
    n_failed: int = 0
    """Parked after several tries, until somebody has them retried."""
    waiting_for: str = ""
    """What projections lack that cannot be processed now, for example a probe."""
    doing: str = ""
    """What takes long just now, and how far it is."""
    last_run_uid: str = ""
    last_error: str = ""
    host: str = ""
    """Where its pid means something."""
    enhancer: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "WorkerStatus":
        """Of what a worker wrote, perhaps one of another version."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


class StatusFile:
    """Keeps a worker's status on disk, replaced atomically so that a reader never sees half of it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.json"
        now = time.time()
        self.status = WorkerStatus(name, os.getpid(), started_at=now, updated_at=now, host=socket.gethostname())
        self._beat_at = time.monotonic()
        self._writes = True
        self._write()

    @property
    def silent_s(self) -> float:
        """Since the worker gave a sign of life."""
        return time.monotonic() - self._beat_at

    def update(self, **changes: object) -> None:
        """Change some fields and write."""
        self.status = replace(self.status, **changes, updated_at=time.time())  # type: ignore[arg-type]
        self._beat_at = time.monotonic()
        self._write()

    def beat(self, every_s: float = 2.0) -> None:
        """Show that the worker lives, unless it wrote within ``every_s``."""
        if time.time() - self.status.updated_at >= every_s:
            self.update()

    def tell(self, doing: str, every_s: float = 1.0) -> None:
        """Say what is being done, unless something was written within ``every_s``."""
        if time.time() - self.status.updated_at >= every_s:
            self.update(doing=doing)

    def _write(self) -> None:
        """A full disk must not end the work: it is told once, and once more when there is room again."""
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(asdict(self.status), indent=1), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            if self._writes:
                log.warning("no status is written to %s any more: %s", self._path, error.strerror)
            self._writes = False
            return
        if not self._writes:
            log.info("status is written to %s again", self._path)
        self._writes = True


def read_statuses(folder: Path) -> list[WorkerStatus]:
    """What every worker that ever ran with this folder wrote last; a file that is none of ours is passed over."""
    return [status for path in sorted(folder.glob("*.json")) if (status := _read(path)) is not None]


def _read(path: Path) -> WorkerStatus | None:
    try:
        return WorkerStatus.from_values(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
