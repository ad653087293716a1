"""What a session at the beamline needs of ``/raw``: a writer for its documents, and where to go on counting."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bluesky_tiled_plugins import TiledWriter

from services.catalog.client import Catalog, access_tags_of, catalog_errors
from services.catalog.records import CatalogError
from services.catalog.runs import FinishedRun


def run_writer(catalog: Catalog, backup_directory: Path) -> Any:
    """A RunEngine callback that writes each document at once.

    A batch of one is what makes a run visible while it is taken. When Tiled does not take a run, its documents go to
    JSON lines in ``backup_directory`` and the plan goes on.
    """
    backup_directory.mkdir(parents=True, exist_ok=True)
    return TiledWriter(catalog.raw, batch_size=1, backup_directory=str(backup_directory))


def owner_metadata(catalog: Catalog, access_tags: Sequence[str]) -> dict[str, Any]:
    """What start documents must hold so that the right people see a run: put it into ``RE.md``.

    Raises:
        CatalogError: this server keeps proposals apart and nobody said whose the runs are.
    """
    if not access_tags and access_tags_of(catalog.raw):
        raise CatalogError(
            f"Tiled at {catalog.uri} keeps proposals apart and nobody would see these runs: set "
            "SUBPROBE_BEAMLINE__ACCESS_TAGS='[\"<proposal>\"]', or '[\"staff\"]' for the beamline's own"
        )
    return {"tiled_access_tags": list(access_tags)} if access_tags else {}


def newest_scan_id(catalog: Catalog) -> int:
    """The scan id of the run written last; 0 in an empty catalogue."""
    with catalog_errors("looking for the newest run"):
        newest = catalog.raw.sort(("", -1)).values().head(1)
    return max((FinishedRun.from_metadata(run.item["id"], run.metadata).scan_id for run in newest), default=0)
