"""How workers are, from what they wrote into the folder of a stack and into Tiled."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.catalog.workers import PublishedWorker
from services.inference.presence import PUBLISH_EVERY_S
from services.inference.status import WorkerStatus, read_statuses
from services.stack.processes import process_exists

_LATE_S = 6 * PUBLISH_EVERY_S
"""Tiled's client tries again for 45 s before a beat is given up."""


@dataclass(frozen=True)
class WorkerView:
    """One worker as it is now.

    Attributes:
        status: what it said last.
        is_up: whether it works, or waits for something; one that was stopped does not, nor is it down.
        is_down: whether it ended without a word, or hangs.
        words: for people.
    """

    status: WorkerStatus
    is_up: bool
    is_down: bool
    words: str


def view_workers(folder: Path, published: Iterable[PublishedWorker], silence_s: float) -> list[WorkerView]:
    """Every worker once, by name: as its own machine sees it where that is this one, else as it told Tiled.

    Args:
        folder: of status files.
        published: what Tiled knows; nothing where it does not answer.
        silence_s: a worker that lives and gave no sign for so long hangs.
    """
    views = {view.status.name: view for view in (_as_published(one, silence_s) for one in published)}
    for status in read_statuses(folder):
        known = views.get(status.name)
        if known is None or status.updated_at >= known.status.updated_at:
            views[status.name] = _as_here(status, silence_s)
    return [views[name] for name in sorted(views)]


def ago(seconds: float) -> str:
    """A time span in the largest unit that tells it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _as_published(one: PublishedWorker, silence_s: float) -> WorkerView:
    status = WorkerStatus.from_values({"name": one.key, "pid": 0, **one.said})
    is_late = time.time() - one.published_at > _LATE_S
    return _view(status, one.published_at if is_late else None, silence_s)


def _as_here(status: WorkerStatus, silence_s: float) -> WorkerView:
    # Of another machine, or of a container that shares the folder, the process id tells nothing.
    is_gone = status.host == socket.gethostname() and not process_exists(status.pid)
    return _view(status, status.updated_at if is_gone else None, silence_s)


def _view(status: WorkerStatus, gone_since: float | None, silence_s: float) -> WorkerView:
    now = time.time()
    if status.state == "stopped":
        return WorkerView(status, False, False, f"stopped {ago(now - status.updated_at)} ago")
    if gone_since is not None:
        return WorkerView(status, False, True, f"is down since {_clock(gone_since)}, {ago(now - gone_since)} ago")
    if now - status.updated_at > silence_s:
        return WorkerView(status, False, True, f"hangs in {status.state!r} since {_clock(status.updated_at)}")
    return WorkerView(status, True, False, f"{status.state}, {status.n_done} done since {_clock(status.started_at)}")


def _clock(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))
