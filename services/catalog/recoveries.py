"""Who looks for the probe of a ptychography run: one worker, since it takes long."""

from collections.abc import Mapping
from typing import Any

from services.catalog.claims import Claims, Hold, Refusal, Standing
from services.catalog.client import Catalog, catalog_errors, ensure_container, merge_metadata
from services.catalog.runs import access_tags_of_run

RECOVERIES = "recoveries"


def claim_recovery(catalog: Catalog, run_uid: str, claims: Claims) -> Hold | Refusal:
    """Ask for a run whose probe is not there, at ``/processed/recoveries/<run uid>``.

    Raises:
        WornOutError: it was begun too often and never ended.
    """
    with catalog_errors(f"claiming the probe of run {run_uid}"):
        parent = ensure_container(catalog.processed, RECOVERIES)
        return claims.ask(parent, run_uid, {"run_uid": run_uid}, _standing, access_tags_of_run(catalog, run_uid))


def complete_recovery(catalog: Catalog, hold: Hold, probe_key: str) -> None:
    """The probe is there."""
    with catalog_errors(f"completing the probe of run {hold.key}"):
        merge_metadata(catalog.processed[RECOVERIES, hold.key], {"state": "complete", "probe": probe_key})


def fail_recovery(catalog: Catalog, hold: Hold, reason: str) -> None:
    """The run never gives a probe."""
    with catalog_errors(f"noting that run {hold.key} gives no probe"):
        merge_metadata(catalog.processed[RECOVERIES, hold.key], {"state": "failed", "error": reason})


def _standing(metadata: Mapping[str, Any]) -> Standing:
    # Never settled: where it was completed, and the probe is gone again, somebody wants it anew.
    return Standing.HELD if metadata["state"] == "writing" else Standing.FREE
