"""Runs that are set aside, with the reason, for people to see: nobody processes them until somebody says so."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.catalog.client import Catalog, catalog_errors, ensure_container, merge_metadata
from services.catalog.records import NotFoundError
from services.catalog.runs import access_tags_of_run

PARKED = "parked"


@dataclass(frozen=True)
class ParkedRun:
    """A run that is not processed.

    Attributes:
        run_uid: of the run.
        reason: in words.
        parked_at: seconds since the epoch.
    """

    run_uid: str
    reason: str
    parked_at: float


def park_run(catalog: Catalog, run_uid: str, reason: str) -> None:
    """Set a run aside at ``/processed/parked/<run uid>``: it is malformed, or failed too often."""
    with catalog_errors(f"parking run {run_uid}"):
        parked = ensure_container(catalog.processed, PARKED)
        about = {"run_uid": run_uid, "reason": reason, "at": time.time()}
        node = ensure_container(parked, run_uid, about, access_tags=access_tags_of_run(catalog, run_uid))
        if node.metadata["reason"] != reason:
            merge_metadata(node, {"reason": reason})


def parked_runs(catalog: Catalog) -> dict[str, ParkedRun]:
    """What is set aside, by run uid."""
    with catalog_errors("listing parked runs"):
        parked = _parked(catalog)
        return {} if parked is None else {uid: _record(uid, node.metadata) for uid, node in parked.items()}


def retry_runs(catalog: Catalog, run_uids: Iterable[str] | None = None) -> list[str]:
    """Have parked runs tried again: workers find them at their next sweep.

    Args:
        catalog: where; its key must be allowed to delete.
        run_uids: which, by their uids or enough of their first letters; None: all.

    Returns:
        Their uids.

    Raises:
        NotFoundError: one of them is not parked, or its first letters are those of several.
    """
    known = list(parked_runs(catalog))
    wanted = known if run_uids is None else [_one(known, given) for given in run_uids]
    with catalog_errors("taking runs out of parking"):
        for uid in wanted:
            _parked(catalog).delete_contents(uid, recursive=True, external_only=False)
    return wanted


def _parked(catalog: Catalog) -> Any:
    try:
        return catalog.processed[PARKED]
    except KeyError:
        return None


def _record(run_uid: str, metadata: Any) -> ParkedRun:
    return ParkedRun(run_uid, str(metadata.get("reason", "")), float(metadata.get("at", 0.0)))


def _one(known: list[str], given: str) -> str:
    found = [uid for uid in known if uid.startswith(given)]
    if len(found) != 1:
        which = f"several: {', '.join(found)}" if found else "none: `subprobe status` lists them"
        raise NotFoundError(f"of the parked runs {given!r} names {which}")
    return found[0]
