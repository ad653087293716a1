"""Files that Tiled may serve are those that truly lie in its readable storage.

Tiled 0.2.20 compares paths as they are written, so that `/data/raw/../../etc/x.csv` counts as one of `/data/raw`, and
so does a link that leads out of there. Whoever may register files could read everything that the server may.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from fastapi import HTTPException, status
from tiled.catalog.adapter import CatalogNodeAdapter
from tiled.storage import FileStorage
from tiled.utils import path_from_uri


def follow_paths() -> None:
    """Have Tiled of this process compare where paths lead, for every kind of file."""
    CatalogNodeAdapter._ensure_uri_within_readable_storage = _check


def _check(node: Any, data_uri: str) -> None:
    if urlparse(data_uri).scheme != "file":
        return
    path = path_from_uri(data_uri).resolve()
    allowed = [Path(it.path).resolve() for it in node.context.readable_storage.values() if isinstance(it, FileStorage)]
    if not any(path.is_relative_to(folder) for folder in allowed):
        told = f"{path.name} leads out of the folders that this server may read, and is not served"
        raise HTTPException(status.HTTP_410_GONE, told)
