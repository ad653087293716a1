"""Runs that Tiled could not take while they were measured: their documents wait in files until they can be written."""

import json
import logging
from pathlib import Path
from typing import Any

from bluesky_tiled_plugins import TiledWriter

from services.catalog.client import Catalog, catalog_errors, is_answering
from services.catalog.records import CatalogError

log = logging.getLogger(__name__)

_RESTORED = ".restored"

Document = tuple[str, dict[str, Any]]


class BackupRestorer:
    """A RunEngine callback that, after each run, writes what is left of earlier ones; a failure never stops a plan.

    Subscribe it after the writer whose ``backup_directory`` it looks after.
    """

    def __init__(self, catalog: Catalog, directory: Path) -> None:
        self._catalog = catalog
        self._directory = directory

    def __call__(self, name: str, _document: dict[str, Any]) -> None:
        """Act on stop documents."""
        if name == "stop" and any(self._directory.glob("*.jsonl")) and is_answering(self._catalog.uri):
            try:
                restore_backups(self._catalog, self._directory)
            except CatalogError as error:
                log.warning("runs in %s wait to be written: %s", self._directory, error)


def restore_backups(catalog: Catalog, directory: Path) -> list[str]:
    """Write every run whose documents wait in a folder, and call its file restored.

    What Tiled took of a run before it failed is replaced; the detectors' files are not touched. A run without stop
    document, still measured or given up by its RunEngine, stays where it is.

    Returns:
        Uids of the runs written.

    Raises:
        CatalogError: the catalogue failed; what is left can be restored later.
    """
    restored = []
    for path in sorted(directory.glob("*.jsonl")):
        documents = _documents(path)
        if not documents or documents[0][0] != "start" or documents[-1][0] != "stop":
            continue
        run_uid = str(documents[0][1]["uid"])
        with catalog_errors(f"restoring run {run_uid} from {path}"):
            _write_anew(catalog, run_uid, documents)
        path.rename(path.with_suffix(path.suffix + _RESTORED))
        log.info("run %s is in the catalogue now; Tiled was away while it was measured", run_uid)
        restored.append(run_uid)
    return restored


def _documents(path: Path) -> list[Document]:
    lines = path.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    return [(record["name"], record["doc"]) for record in records]


def _write_anew(catalog: Catalog, run_uid: str, documents: list[Document]) -> None:
    try:
        half = catalog.root["raw", run_uid]
    except KeyError:
        half = None
    if half is not None and half.metadata.get("stop"):
        return
    if half is not None:
        catalog.raw.delete_contents(run_uid, recursive=True, external_only=False)
    writer = TiledWriter(catalog.raw)
    for name, document in documents:
        writer(name, document)
