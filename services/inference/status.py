"""What a worker does now, as a small file in ``<folder>/status``: for `subprobe status` and for people at 3 am."""

import json
import os
import re
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

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
    n_waiting: int = 0
    """Runs offered to it and not begun."""
    n_rejected: int = 0
    n_failed: int = 0
    """Given up after several tries, until the worker is started again."""
    waiting_for: str = ""
    """What projections lack that cannot be processed now, for example a probe."""
    last_run_uid: str = ""
    last_error: str = ""


class StatusFile:
    """Keeps a worker's status on disk, replaced atomically so that a reader never sees half of it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.json"
        now = time.time()
        self.status = WorkerStatus(name, os.getpid(), started_at=now, updated_at=now)
        self._write()

    def update(self, **changes: object) -> None:
        """Change some fields and write."""
        self.status = replace(self.status, **changes, updated_at=time.time())  # type: ignore[arg-type]
        self._write()

    def beat(self, every_s: float = 2.0) -> None:
        """Show that the worker lives, unless it wrote within ``every_s``."""
        if time.time() - self.status.updated_at >= every_s:
            self.update()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self.status), indent=1), encoding="utf-8")
        temporary.replace(self._path)


def read_statuses(folder: Path) -> list[WorkerStatus]:
    """What every worker that ever ran with this folder wrote last; a file that is none of ours is passed over."""
    return [status for path in sorted(folder.glob("*.json")) if (status := _read(path)) is not None]


def _read(path: Path) -> WorkerStatus | None:
    known = {field.name for field in fields(WorkerStatus)}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return WorkerStatus(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
