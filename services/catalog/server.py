"""Tiled's web application as subprobe runs it: `uvicorn --factory services.catalog.server:create_app`."""

import errno
import logging
from collections.abc import Callable
from typing import Any

import fastapi.dependencies.utils as fastapi_dependencies
from fastapi import Request
from fastapi.responses import JSONResponse
from obstore.exceptions import BaseError as StoreError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from tiled.server.app import app_factory

from services.catalog.readable_storage import follow_paths

log = logging.getLogger("subprobe.tiled")

STORAGE_FULL, UNAVAILABLE = 507, 503
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_IN_WORDS = ("disk is full", "no space left", "disk full")
_RETRY_AFTER = {"Retry-After": "5"}


def create_app() -> Any:
    """Tiled's own application, configured by the file that ``TILED_CONFIG`` names, with three changes.

    It answers in half the time. Tiled overrides one dependency. FastAPI, finding any override, inspects the signatures
    of all the dependencies of a route anew at each request: some 160 of them, 20 ms of each answer (fastapi pull
    requests 14441 and 16342, not merged yet). What it finds never changes while a server runs, so it is kept.

    It says what passes by itself: 503 where its database or stream does not answer, 507 where its storage is full.
    Tiled's own answer would be 500, as for a file that nobody can read.

    It serves no file outside its readable storage, however the path is written: see `readable_storage`.
    """
    follow_paths()
    fastapi_dependencies.get_dependant = _remembered(fastapi_dependencies.get_dependant)
    app = app_factory()
    for kind in (OSError, StoreError, DBAPIError, RedisConnectionError, RedisTimeoutError):
        app.add_exception_handler(kind, _tell)
    return app


def _tell(request: Request, error: Exception) -> JSONResponse:
    status, detail = classified(error)
    log.error("%s %s: %s (%s: %s)", request.method, request.url.path, detail, type(error).__name__, _first_line(error))
    return JSONResponse({"detail": detail}, status, _RETRY_AFTER if status == UNAVAILABLE else None)


def classified(error: BaseException) -> tuple[int, str]:
    """HTTP status and words for what went wrong beneath Tiled."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).lower()
    if (isinstance(cause, OSError) and cause.errno in _FULL) or any(words in said for words in _FULL_IN_WORDS):
        return STORAGE_FULL, "The storage of Tiled is full: nothing can be written until there is space"
    if isinstance(error, (RedisConnectionError, RedisTimeoutError)):
        return UNAVAILABLE, "The stream of Tiled does not answer: is Redis up?"
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, (OperationalError, InterfaceError, ConnectionError, TimeoutError)):
        return UNAVAILABLE, "The database of Tiled does not answer: is it up?"
    return 500, "Internal server error"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _remembered(inspect: Callable[..., Any]) -> Callable[..., Any]:
    found: dict[tuple[object, ...], Any] = {}

    def get_dependant(**asked: Any) -> Any:
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in asked.items())
        if key not in found:
            found[key] = inspect(**asked)
        return found[key]

    return get_dependant
