"""One projection from the catalogue back into the catalogue: the edge around the pure recipe."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Any, NoReturn

from models.physics.probe import Probe
from models.run_schema import ProjectionStart
from models.superres.enhancer import Enhancer
from services.catalog.angle_records import Claim, claim_angle, commit_angle, fail_angle
from services.catalog.backlog import rejected_runs
from services.catalog.client import Catalog
from services.catalog.probes import ProbeRecord, choose_probe, list_probes, read_probe
from services.catalog.provenance import software_versions
from services.catalog.records import MalformedRunError, NotFoundError, RawProjection
from services.catalog.runs import FinishedRun, probe_scan_for, projection_start, read_measured
from services.catalog.series_layout import SeriesNode, ensure_fine_stacks, ensure_series
from services.catalog.stacks import Stacks
from services.catalog.writing import note_waiting, summarise_series, write_coarse, write_fine, write_trust
from services.inference.recipe import (
    check_can_be_fitted,
    enhance_projection,
    fit_projection,
    judge_projection,
    projection_quality,
)
from services.logs import LoggedPool
from services.monitoring.worker_metrics import WorkerMetrics

log = logging.getLogger(__name__)


class WaitingError(Exception):
    """A projection cannot be processed yet; the message says what it waits for."""


class Outcome(Enum):
    """What became of a projection."""

    COMPLETED = "completed"
    RECOVERED = "recovered"
    """A ptychography run, and its probe is in the catalogue."""
    SETTLED = "settled"
    """Nothing was to be done: it is done, or a later run of its angle took its place."""
    ELSEWHERE = "elsewhere"
    """Another worker is at it, or came in between: look again later."""


@dataclass
class Stopwatch:
    """Seconds by step of one projection."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, step: str) -> None:
        """A step ends, the next begins."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self._since, 4)
        self._since = now

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.2f} s" for step, seconds in self.seconds.items())


class Processor:
    """Processes projections one at a time, keeping open what several of them share: series, stacks, probes.

    Args:
        catalog: to read from and write to.
        enhancer: that turns coarse maps into fine ones.
        scale: fine pixels per coarse pixel of series that it begins; a series once begun keeps its own.
        owner: name of the worker, unique among those that run.
        metrics: told of each projection that is complete.
    """

    def __init__(
        self, catalog: Catalog, enhancer: Enhancer, scale: int, owner: str, metrics: WorkerMetrics | None = None
    ) -> None:
        self._catalog = catalog
        self._enhancer = enhancer
        self._scale = scale
        self._owner = owner
        self._metrics = metrics or WorkerMetrics()
        self._series: dict[str, SeriesNode] = {}
        self._fine_stacks: dict[str, Stacks] = {}
        self._named_probes: dict[tuple[str | None, float], ProbeRecord] = {}
        self._probes: dict[tuple[str, str], Probe] = {}
        self._waiting_noted: dict[str, str] = {}
        self._probe_scans: dict[str, FinishedRun | None] = {}
        self._software = software_versions()

    def process(self, run: FinishedRun) -> Outcome:
        """Take one finished projection all the way; doing it again changes nothing.

        Raises:
            WaitingError: something it needs is not there yet.
            MalformedRunError: it never can be processed; the message says why.
            CatalogError: the catalogue failed.
        """
        start = projection_start(run.run_uid, run.start)
        check_can_be_fitted(start)
        try:
            return self._process(run, start)
        except MalformedRunError as error:
            self.note_failure(run, str(error))
            raise

    def note_failure(self, run: FinishedRun, error: str) -> None:
        """Leave an error where a person looking for the missing angle sees it."""
        start = projection_start(run.run_uid, run.start)
        series = self._series.get(start.series_uid)
        if series is not None:
            fail_angle(series, start, run.run_uid, error)

    def forget(self, series_uid: str) -> None:
        """Open a series anew at its next projection: somebody may have changed it behind our back."""
        self._series.pop(series_uid, None)
        self._fine_stacks.pop(series_uid, None)

    def _process(self, run: FinishedRun, start: ProjectionStart) -> Outcome:
        watch = Stopwatch()
        series = self._open_series(start)
        probe_record = self._choose_probe(series, run, start) if start.purpose == "coarse" else None
        watch.lap("open")
        with LoggedPool(1) as threads:
            reading = threads.submit(read_measured, self._catalog, run)
            claim = claim_angle(series, start, run.run_uid, run.start_time, self._owner)
            if claim is not Claim.MINE:
                return Outcome.SETTLED if claim is Claim.SETTLED else Outcome.ELSEWHERE
            raw = reading.result()
        watch.lap("read")
        if probe_record is None:
            lineage = self._process_fine(series, raw, watch)
        else:
            lineage = self._process_coarse(series, raw, probe_record, watch)
        return self._complete(series, raw, run, lineage, watch)

    def _process_coarse(
        self, series: SeriesNode, raw: RawProjection, chosen: ProbeRecord, watch: Stopwatch
    ) -> dict[str, Any]:
        maps = fit_projection(raw)
        watch.lap("fit")
        probe = self._read_probe(chosen)
        enhanced = enhance_projection(maps, raw, probe, self._enhancer, series.scale)
        watch.lap("enhance")
        readable_at = write_coarse(series, raw.start.angle_index, maps, enhanced)
        watch.lap("write")
        trust = judge_projection(maps, enhanced, raw, probe, self._enhancer)
        write_trust(series, raw.start.angle_index, trust)
        watch.lap("judge")
        return {
            "readable_at": readable_at,
            "probe": {"key": chosen.key, "digest": chosen.digest},
            "enhancer": {
                "name": self._enhancer.name,
                "digest": self._enhancer.digest,
                "computed_on": enhanced.computed_on,
            },
            "scale": series.scale,
            "identity": _identity(raw.run_uid, chosen.digest, self._enhancer.digest, str(series.scale)),
            "quality": asdict(projection_quality(maps, enhanced, trust)),
        }

    def _process_fine(self, series: SeriesNode, raw: RawProjection, watch: Stopwatch) -> dict[str, Any]:
        uid = series.series_uid
        if uid not in self._fine_stacks:
            self._fine_stacks[uid] = ensure_fine_stacks(series, raw.start, self._owner)
        maps = fit_projection(raw)
        watch.lap("fit")
        write_fine(series, self._fine_stacks[uid], raw.start.angle_index, maps)
        watch.lap("write")
        return {
            "paired_run_uid": raw.start.paired_run_uid,
            "identity": _identity(raw.run_uid),
            "quality": asdict(projection_quality(maps)),
        }

    def _complete(
        self, series: SeriesNode, raw: RawProjection, run: FinishedRun, lineage: Mapping[str, Any], watch: Stopwatch
    ) -> Outcome:
        now = time.time()
        latency_s = lineage.get("readable_at", now) - run.stop_time
        about = {"seconds": watch.seconds, "latency_s": round(latency_s, 3), "completed_at": now}
        if not commit_angle(series, raw, {**lineage, **about, "software": self._software}):
            log.warning("run %s: another run of its angle came in between; that one is done once more", raw.run_uid)
            return Outcome.ELSEWHERE
        latest = {name: lineage[name] for name in ("probe", "enhancer") if name in lineage}
        n_done = summarise_series(series, {**latest, "waiting": None})
        self._waiting_noted.pop(series.series_uid, None)
        watch.lap("commit")
        self._metrics.wrote(len(series.elements), watch.seconds, latency_s)
        log.info(
            "run %s: series %s, %s angle %d (%.2f deg), %s: %s; readable %.2f s after its end; %d of %d angles done",
            raw.run_uid,
            series.key,
            raw.start.purpose,
            raw.start.angle_index,
            raw.start.theta_deg,
            " ".join(series.elements),
            watch,
            latency_s,
            n_done,
            series.n_angles,
            extra={
                "series": series.key,
                "angle_index": raw.start.angle_index,
                "theta_deg": raw.start.theta_deg,
                "seconds": watch.seconds,
            },
        )
        return Outcome.COMPLETED

    def _open_series(self, start: ProjectionStart) -> SeriesNode:
        series = self._series.get(start.series_uid)
        if series is None:
            try:
                series = ensure_series(self._catalog, start, self._scale, self._owner)
            except NotFoundError as error:
                raise WaitingError(str(error)) from error
            self._series[start.series_uid] = series
        series.check_fits(start)
        return series

    def _choose_probe(self, series: SeriesNode, run: FinishedRun, start: ProjectionStart) -> ProbeRecord:
        by_name = (start.probe, start.energy_kev)
        if by_name in self._named_probes:
            return self._named_probes[by_name]
        own = None if start.probe is not None else self._probe_scan_of(series.series_uid)
        try:
            chosen = choose_probe(
                self._catalog,
                start.energy_kev,
                start.probe,
                before=run.start_time,
                optics=start.optics,
                run_uid=None if own is None else own.run_uid,
            )
        except NotFoundError as error:
            self._wait_for_a_probe(series, str(error), error)
        if own is not None and chosen.run_uid != own.run_uid and self._is_pending(own):
            self._wait_for_a_probe(series, f"that of ptychography run {own.run_uid}, taken for this series")
        if start.probe is not None:
            self._named_probes[by_name] = chosen
        return chosen

    def _wait_for_a_probe(self, series: SeriesNode, what: str, cause: Exception | None = None) -> NoReturn:
        reason = f"waiting for a probe: {what}"
        if self._waiting_noted.get(series.series_uid) != reason:
            note_waiting(series, reason)
            self._waiting_noted[series.series_uid] = reason
        raise WaitingError(reason) from cause

    def _probe_scan_of(self, series_uid: str) -> FinishedRun | None:
        """The ptychography run taken for a series, which precedes its projections: looked for once."""
        if series_uid not in self._probe_scans:
            self._probe_scans[series_uid] = probe_scan_for(self._catalog, series_uid)
        return self._probe_scans[series_uid]

    def _is_pending(self, scan: FinishedRun) -> bool:
        """Whether its probe may still come: neither is it there, to be relied on or not, nor was the run rejected."""
        found = any(probe.run_uid == scan.run_uid for probe in list_probes(self._catalog))
        return not found and scan.run_uid not in rejected_runs(self._catalog)

    def _read_probe(self, chosen: ProbeRecord) -> Probe:
        place = (chosen.key, chosen.digest)
        if place not in self._probes:
            self._probes[place] = read_probe(self._catalog, chosen.key)
        return self._probes[place]


def _identity(*inputs: str) -> str:
    """Of a result, from everything it depends on."""
    return sha256("\n".join(inputs).encode()).hexdigest()[:16]
