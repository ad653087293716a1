"""Which probe measured a projection, by the rule in the README of this room; without one its series waits."""

from typing import NoReturn

from models.physics.probe import Probe
from models.run_schema import ProjectionStart
from services.catalog.client import AccessTags, Catalog
from services.catalog.parking import parked_runs
from services.catalog.probes import ProbeRecord, choose_probe, list_probes, read_probe
from services.catalog.records import NotFoundError
from services.catalog.runs import FinishedRun, probe_scan_for
from services.catalog.series_layout import SeriesNode
from services.catalog.writing import note_waiting
from services.inference.recent import Recent

_KEPT = 32


class WaitingError(Exception):
    """A projection cannot be processed yet; the message says what it waits for."""


class ProbeChoice:
    """Chooses probes, and keeps what it has read of them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._named: Recent[tuple[str | None, float, AccessTags], ProbeRecord] = Recent(_KEPT)
        self._read: Recent[tuple[str, str], Probe] = Recent(_KEPT)
        self._noted: Recent[str, str] = Recent(_KEPT)
        self._scans: Recent[str, tuple[FinishedRun | None]] = Recent(_KEPT)

    def choose(self, series: SeriesNode, run: FinishedRun, start: ProjectionStart) -> ProbeRecord:
        """The probe of a coarse projection.

        Raises:
            WaitingError: it is not there yet; the series says so.
        """
        by_name = (start.probe, start.energy_kev, series.access_tags)
        known = self._named.get(by_name)
        if known is not None:
            return known
        own = None if start.probe is not None else self._scan_of(series.series_uid)
        try:
            chosen = choose_probe(
                self._catalog,
                start.energy_kev,
                start.probe,
                before=run.start_time,
                optics=start.optics,
                run_uid=None if own is None else own.run_uid,
                access_tags=series.access_tags,
            )
        except NotFoundError as error:
            self._wait(series, str(error), error)
        if own is not None and chosen.run_uid != own.run_uid and self._is_pending(own):
            self._wait(series, f"that of ptychography run {own.run_uid}, taken for this series")
        if start.probe is not None:
            self._named.put(by_name, chosen)
        return chosen

    def read(self, chosen: ProbeRecord) -> Probe:
        """Its wavefield."""
        place = (chosen.key, chosen.digest)
        return self._read.get(place) or self._read.put(place, read_probe(self._catalog, chosen.key))

    def no_longer_waits(self, series: SeriesNode) -> None:
        """Its summary has taken back what it waited for."""
        self._noted.forget(series.series_uid)

    def _wait(self, series: SeriesNode, what: str, cause: Exception | None = None) -> NoReturn:
        reason = f"waiting for a probe: {what}"
        if self._noted.get(series.series_uid) != reason:
            note_waiting(series, reason)
            self._noted.put(series.series_uid, reason)
        raise WaitingError(reason) from cause

    def _scan_of(self, series_uid: str) -> FinishedRun | None:
        """The ptychography run taken for a series, which precedes its projections: looked for once."""
        known = self._scans.get(series_uid)
        return known[0] if known else self._scans.put(series_uid, (probe_scan_for(self._catalog, series_uid),))[0]

    def _is_pending(self, scan: FinishedRun) -> bool:
        """Whether its probe may still come: neither is it there, to be relied on or not, nor was the run parked."""
        found = any(probe.run_uid == scan.run_uid for probe in list_probes(self._catalog))
        return not found and scan.run_uid not in parked_runs(self._catalog)
