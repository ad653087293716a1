"""What a session at the beamline needs of ``/raw``: a writer for its documents, and where to go on counting."""

from pathlib import Path
from typing import Any

from bluesky_tiled_plugins import TiledWriter

from services.catalog.client import Catalog, catalog_errors


def run_writer(catalog: Catalog, backup_directory: Path) -> Any:
    """A RunEngine callback that writes each document at once.

    A batch of one is what makes a run visible while it is taken. When Tiled does not take a run, its documents go to
    JSON lines in ``backup_directory`` and the plan goes on.
    """
    backup_directory.mkdir(parents=True, exist_ok=True)
    return TiledWriter(catalog.raw, batch_size=1, backup_directory=str(backup_directory))


def newest_scan_id(catalog: Catalog) -> int:
    """The scan id of the run written last; 0 in an empty catalogue."""
    with catalog_errors("looking for the newest run"):
        newest = catalog.raw.sort(("", -1)).values().head(1)
    return max((int(run.metadata["start"].get("scan_id", 0)) for run in newest), default=0)
