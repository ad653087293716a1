"""What workers say of themselves in ``/processed/workers/<name>``: for whoever does not sit at their machine."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiled.queries import SpecsQuery
from tiled.structures.core import Spec

from services.catalog.client import Catalog, catalog_errors, create_container, ensure_container, merge_metadata

WORKERS = "workers"
WORKER_SPEC = "SubprobeWorker"


@dataclass(frozen=True)
class PublishedWorker:
    """The last word of a worker."""

    key: str
    published_at: float
    """Seconds since the epoch, by the worker's clock."""
    said: Mapping[str, Any]
    """Its status, see `services.inference.status`."""


def publish_worker(catalog: Catalog, name: str, says: Mapping[str, Any]) -> None:
    """Let a worker say how it is, in place of what it said before; no revision is kept."""
    word = {**says, "published_at": time.time()}
    with catalog_errors(f"telling the state of worker {name}"):
        key = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        workers = ensure_container(catalog.processed, WORKERS)
        # Its own, and administrators': what it says last may name somebody's series.
        if create_container(workers, key, word, [Spec(WORKER_SPEC, version="1.0")], access_tags=frozenset()) is None:
            merge_metadata(workers[key], word)


def published_workers(catalog: Catalog) -> list[PublishedWorker]:
    """What every worker said last, by name; one that was killed says nothing more."""
    with catalog_errors("listing workers"):
        try:
            workers = catalog.processed[WORKERS].search(SpecsQuery([WORKER_SPEC]))
        except KeyError:
            return []
        said = {key: dict(node.metadata) for key, node in workers.items()}
    return [PublishedWorker(key, float(word.pop("published_at")), word) for key, word in sorted(said.items())]
