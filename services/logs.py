"""Logging of one process: a line an event, with ids and units, never a secret."""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, ParamSpec, TypeVar

LogFormat = Literal["text", "json"]
Given = ParamSpec("Given")
Done = TypeVar("Done")

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_QUIET = (
    "asyncio",
    "h5py",
    "httpcore",
    "httpx",
    "matplotlib",
    "stamina",
    "tiled",
    "uvicorn.access",
    "websockets",
    "zarr",
)
# A list of what may leave a record: libraries hang whole connections, keys included, on theirs.
_EXTRA = ("angle_index", "attempt", "job_id", "run_uid", "seconds", "series", "series_uid", "theta_deg")
# Ours never log one; an exception of a library that was handed one may.
_SECRET = re.compile(r"(api_key=|Apikey\s+|://[^\s/:@]*:)[^\s&@\"']+", re.IGNORECASE)

_ids: ContextVar[Mapping[str, Any]] = ContextVar("log_ids", default=MappingProxyType({}))


def configure_logging(
    level: str = "INFO", file: Path | None = None, log_format: LogFormat = "text", process: str = "subprobe"
) -> None:
    """Send our log lines to stderr, or to a file, and keep libraries to warnings (they log whole URLs at INFO).

    Args:
        level: one of DEBUG, INFO, WARNING, ERROR.
        file: appended to when given; its folder must exist.
        log_format: ``text`` for people, ``json`` for machines: an object a line, whatever is logged or raised.
        process: told in each JSON line.

    Raises:
        ValueError: unknown level.
    """
    if level.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"log level is {level!r}: pass DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(JsonLines(process) if log_format == "json" else TextLines(_FORMAT))
    handler.addFilter(_add_ids)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    if log_format == "json":
        _log_what_python_prints()


@contextmanager
def log_context(**ids: object) -> Iterator[None]:
    """Give these ids to every line that is logged in the block, by whomever, also in threads of `LoggedPool`."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


class LoggedPool(ThreadPoolExecutor):
    """A pool of threads whose lines carry the ids of whoever handed in the work."""

    def submit(self, work: Callable[Given, Done], /, *args: Given.args, **options: Given.kwargs) -> Future[Done]:
        """See `ThreadPoolExecutor`."""
        return super().submit(copy_context().run, partial(work, *args, **options))


class TextLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, traceback included, without secrets."""
        return _masked(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line, for whatever collects logs."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record with its ids and its traceback, without secrets."""
        told: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _masked(record.getMessage()),
            "process": self._process,
        }
        told |= {name: value for name in _EXTRA if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            told["exception"] = _masked(self.formatException(record.exc_info))
        return json.dumps(told, default=str)


def _add_ids(record: logging.LogRecord) -> bool:
    for name, value in _ids.get().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


def _masked(text: str) -> str:
    return _SECRET.sub(r"\1***", text)


def _log_what_python_prints() -> None:
    """Warnings and uncaught exceptions too are lines like all others."""
    log = logging.getLogger("python")
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: log.critical(
        "uncaught %s", kind.__name__, exc_info=(kind, error, trace)
    )

    def in_thread(raised: threading.ExceptHookArgs) -> None:
        log.critical("uncaught in thread %s", raised.thread and raised.thread.name, exc_info=raised.exc_value)

    threading.excepthook = in_thread
