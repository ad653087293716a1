"""Logging of one process: a line an event, with ids and units, never a secret."""

import logging
import sys
from pathlib import Path

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


def configure_logging(level: str = "INFO", file: Path | None = None) -> None:
    """Send our log lines to stderr, or to a file, and keep libraries to warnings (they log whole URLs at INFO).

    Args:
        level: one of DEBUG, INFO, WARNING, ERROR.
        file: appended to when given; its folder must exist.

    Raises:
        ValueError: unknown level.
    """
    if level.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"log level is {level!r}: pass DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
