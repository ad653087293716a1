"""For schemathesis: many a request is about a series, a job and an element that are there."""

import json
import os
import zlib
from typing import Any

import schemathesis

THERE: dict[str, str] = json.loads(os.environ.get("OPENAPI_THERE", "{}"))
"""By name of the path's parameter."""


@schemathesis.hook
def map_path_parameters(_context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of what is drawn, by its own digest."""
    if not path_parameters or zlib.crc32(repr(path_parameters).encode()) % 2:
        return path_parameters
    return path_parameters | {name: value for name, value in THERE.items() if name in path_parameters}


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """A quarter of the jobs are for the series: they are really begun, whatever else they ask for."""
    if not isinstance(body, dict) or "series" not in body or zlib.crc32(repr(body).encode()) % 4:
        return body
    return body | {"series": THERE.get("key", "")}
