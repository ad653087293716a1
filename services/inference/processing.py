"""One projection from the catalogue back into the catalogue: the edge around the pure recipe."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from models.run_schema import ProjectionStart
from models.superres.enhancer import Enhancer
from services.catalog.angle_records import claim_angle, commit_angle, fail_angle
from services.catalog.claims import Claims, Hold, Refusal
from services.catalog.client import Catalog, catalog_errors
from services.catalog.probes import ProbeRecord
from services.catalog.provenance import software_versions
from services.catalog.records import MalformedRunError, RawProjection
from services.catalog.runs import FinishedRun, access_tags_of_run, projection_start, read_measured
from services.catalog.series_layout import SeriesNode
from services.catalog.writing import summarise_series, write_coarse, write_fine, write_trust
from services.inference.completion import Completion
from services.inference.open_series import OpenSeries
from services.inference.probe_choice import ProbeChoice
from services.inference.recipe import (
    check_can_be_fitted,
    enhance_projection,
    fit_projection,
    judge_projection,
    projection_quality,
)
from services.inference.stopwatch import Stopwatch
from services.logs import LoggedPool
from services.monitoring.worker_metrics import WorkerMetrics

log = logging.getLogger(__name__)

_OTHERS_S = 60.0
"""Where another worker was met so lately, a projection is read only once it is ours."""


class Outcome(Enum):
    """What became of a projection."""

    COMPLETED = "completed"
    RECOVERED = "recovered"
    """A ptychography run, and its probe is in the catalogue."""
    MAPPED = "mapped"
    """A structured-illumination run, and its maps are in the catalogue."""
    SETTLED = "settled"
    """Nothing was to be done: it is done, or a later run of its angle took its place."""
    ELSEWHERE = "elsewhere"
    """Another worker is at it, or came in between: look again later."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A projection that is ours and read, and not yet processed."""

    run: FinishedRun
    series: SeriesNode
    hold: Hold
    raw: RawProjection
    probe: ProbeRecord | None
    """Of a coarse scan."""
    watch: Stopwatch


class Processor:
    """Processes projections, keeping open what several of them share: series, stacks, probes.

    One may be prepared in a thread while another is finished: with a backlog, reading never waits for computing.

    Args:
        catalog: to read from and write to.
        enhancer: that turns coarse maps into fine ones.
        scale: fine pixels per coarse pixel of series that it begins; a series once begun keeps its own.
        claims: of the worker.
        metrics: told of each projection that is complete.
    """

    def __init__(
        self, catalog: Catalog, enhancer: Enhancer, scale: int, claims: Claims, metrics: WorkerMetrics | None = None
    ) -> None:
        self._catalog = catalog
        self._enhancer = enhancer
        self._claims = claims
        self._metrics = metrics or WorkerMetrics()
        self._met_others_at = -_OTHERS_S
        self._series = OpenSeries(catalog, scale, claims.worker)
        self._probes = ProbeChoice(catalog)
        self._software = software_versions()

    @property
    def is_among_others(self) -> bool:
        """Whether another worker was met lately."""
        return time.monotonic() - self._met_others_at < _OTHERS_S

    def prepare(self, run: FinishedRun) -> Prepared | Outcome:
        """Make a projection ours and read it; `finish` or `give_back` it then. An outcome where it is not for us.

        Raises:
            WaitingError: something it needs is not there yet.
            MalformedRunError: it never can be processed; the message says why.
            WornOutError: it was begun too often and never ended.
            CatalogError: the catalogue failed.
        """
        start = projection_start(run.run_uid, run.start)
        check_can_be_fitted(start)
        try:
            return self._prepare(run, start)
        except MalformedRunError as error:
            self.note_failure(run, str(error))
            raise

    def still_ours(self, prepared: Prepared) -> Prepared | Outcome:
        """The same, unless it was taken over since, by a later run of its angle for example."""
        with catalog_errors(f"looking after {prepared.hold.key} of series {prepared.series.key}"):
            if self._claims.keeps(prepared.hold):
                return prepared
        self._claims.let_go(prepared.hold)
        return Outcome.ELSEWHERE

    def finish(self, prepared: Prepared) -> Outcome:
        """Take what was prepared all the way; doing it again changes nothing.

        Raises:
            MalformedRunError: it never can be processed; the message says why.
            CatalogError: the catalogue failed.
        """
        series, raw, watch = prepared.series, prepared.raw, prepared.watch
        watch.resume()
        try:
            if prepared.probe is None:
                lineage = self._process_fine(series, raw, watch)
            else:
                lineage = self._process_coarse(series, raw, prepared.probe, watch)
            return self._complete(prepared, lineage)
        except MalformedRunError as error:
            self.note_failure(prepared.run, str(error))
            raise
        finally:
            self._claims.let_go(prepared.hold)

    def give_back(self, prepared: Prepared) -> None:
        """Leave what was prepared to whoever comes next."""
        self._claims.give_back(prepared.hold)

    def note_failure(self, run: FinishedRun, error: str) -> None:
        """Leave an error where a person looking for the missing angle sees it."""
        start = projection_start(run.run_uid, run.start)
        series = self._series.known(start.series_uid)
        if series is not None:
            fail_angle(series, start, run.run_uid, error)

    def forget(self, series_uid: str) -> None:
        """Open a series anew at its next projection: somebody may have changed it behind our back."""
        self._series.forget(series_uid)

    def _prepare(self, run: FinishedRun, start: ProjectionStart) -> Prepared | Outcome:
        watch = Stopwatch()
        series = self._series.open(start)
        series.check_owner(run.run_uid, access_tags_of_run(self._catalog, run.run_uid))
        probe = self._probes.choose(series, run, start) if start.purpose == "coarse" else None
        watch.lap("open")
        with LoggedPool(1) as threads:
            # While it is asked for: most of the time nobody else wants it.
            early = None if self.is_among_others else threads.submit(read_measured, self._catalog, run)
            hold = claim_angle(series, start, run.run_uid, run.start_time, self._claims)
            if hold is Refusal.ELSEWHERE:
                self._met_others_at = time.monotonic()
            if isinstance(hold, Refusal):
                return Outcome.SETTLED if hold is Refusal.SETTLED else Outcome.ELSEWHERE
            try:
                raw = read_measured(self._catalog, run) if early is None else early.result()
            except BaseException:
                self._claims.let_go(hold)
                raise
        watch.lap("read")
        return Prepared(run, series, hold, raw, probe, watch)

    def _process_coarse(
        self, series: SeriesNode, raw: RawProjection, chosen: ProbeRecord, watch: Stopwatch
    ) -> dict[str, Any]:
        maps = fit_projection(raw)
        watch.lap("fit")
        probe = self._probes.read(chosen)
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
        stacks = self._series.fine_stacks(series, raw.start)
        maps = fit_projection(raw)
        watch.lap("fit")
        write_fine(series, stacks, raw.start.angle_index, maps)
        watch.lap("write")
        return {
            "paired_run_uid": raw.start.paired_run_uid,
            "identity": _identity(raw.run_uid),
            "quality": asdict(projection_quality(maps)),
        }

    def _complete(self, prepared: Prepared, lineage: Mapping[str, Any]) -> Outcome:
        series, raw, run, watch = prepared.series, prepared.raw, prepared.run, prepared.watch
        now = time.time()
        latency_s = lineage.get("readable_at", now) - run.stop_time
        about = {"seconds": watch.seconds, "latency_s": round(latency_s, 3), "completed_at": now}
        if not commit_angle(series, prepared.hold, raw, {**lineage, **about, "software": self._software}):
            log.warning("run %s: another run of its angle, or another worker, came in between", raw.run_uid)
            return Outcome.ELSEWHERE
        latest = {name: lineage[name] for name in ("probe", "enhancer") if name in lineage}
        n_done = summarise_series(series, {**latest, "waiting": None})
        self._probes.no_longer_waits(series)
        watch.lap("commit")
        self._metrics.wrote(len(series.elements), watch.seconds, latency_s)
        done = Completion(series, raw, watch, latency_s, n_done)
        log.info("%s", done, extra=done.fields)
        return Outcome.COMPLETED


def _identity(*inputs: str) -> str:
    """Of a result, from everything it depends on."""
    return sha256("\n".join(inputs).encode()).hexdigest()[:16]
