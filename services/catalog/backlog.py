"""What waits to be processed, from the catalogue alone: finished runs that no record settles and that are not parked.

A projection is settled by its angle's record, a ptychography run by the probe that was found from it, a
structured-illumination run by its maps.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from services.catalog.angle_records import AngleRecord, read_records, record_key
from services.catalog.client import Catalog, catalog_errors
from services.catalog.parking import ParkedRun, parked_runs
from services.catalog.probes import list_probes
from services.catalog.runs import (
    FinishedRun,
    finished_probe_scans,
    finished_projections,
    finished_structured_runs,
)
from services.catalog.series_layout import find_series_container
from services.catalog.single_pixel import mapped_run_uids


class Backlog:
    """One look at the catalogue; it remembers what it read of each series, so make a new one for a new look."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._records: dict[str, dict[str, AngleRecord]] = {}

    def waiting(self) -> Iterator[FinishedRun]:
        """Every projection that waits, the newest first."""
        return (run for run in finished_projections(self._catalog) if not self.is_settled(run))

    def waiting_probe_scans(self) -> Iterator[FinishedRun]:
        """Every ptychography run whose probe is not there, the newest first."""
        return (run for run in finished_probe_scans(self._catalog) if not self.is_settled(run))

    def waiting_structured_runs(self) -> Iterator[FinishedRun]:
        """Every structured-illumination run without maps, the newest first."""
        return (run for run in finished_structured_runs(self._catalog) if not self.is_settled(run))

    def is_settled(self, run: FinishedRun) -> bool:
        """Whether a run is processed, was replaced by a later one, or is parked."""
        if run.is_probe_scan:
            return run.run_uid in self._probed or run.run_uid in self.parked
        if run.is_structured:
            return run.run_uid in self._mapped or run.run_uid in self.parked
        record = self._records_of(run.series_uid).get(_record_key(run))
        done = record is not None and record.settles(run.run_uid, run.start_time)
        return done or run.run_uid in self.parked

    @cached_property
    def _probed(self) -> set[str | None]:
        return {probe.run_uid for probe in list_probes(self._catalog)}

    @cached_property
    def _mapped(self) -> set[str]:
        return mapped_run_uids(self._catalog)

    @cached_property
    def parked(self) -> dict[str, ParkedRun]:
        """By run uid."""
        return parked_runs(self._catalog)

    def _records_of(self, series_uid: str) -> dict[str, AngleRecord]:
        if series_uid not in self._records:
            with catalog_errors(f"reading what is done of series {series_uid}"):
                container = find_series_container(self._catalog, series_uid)
                self._records[series_uid] = {} if container is None else read_records(container)
        return self._records[series_uid]


def _record_key(run: FinishedRun) -> Any:
    """Key of a run's record, or None where its start document does not say: reading it will park it."""
    try:
        return record_key(int(run.start["angle_index"]), str(run.start["purpose"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
