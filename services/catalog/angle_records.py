"""One small record per projection of a series: who works on it, and whether it is done.

The records are the truth about completeness; what a series' own metadata says is a summary of them. A record lives at
``/processed/<series>/projections/<index>`` (``<index>-fine`` for the fine partner scan). Its ``state`` becomes
``complete`` last of all, so that a reader never takes a half-written map for a whole one, and a worker killed
anywhere leaves something that is simply done again. Where an angle was measured twice the run that started later
wins, whatever the order of processing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from tiled.queries import Eq

from models.run_schema import ProjectionStart
from services.catalog.client import catalog_errors, create_container, merge_metadata
from services.catalog.records import RawProjection
from services.catalog.series_layout import SeriesNode

RecordState = Literal["writing", "complete", "failed", "redo"]

_CLAIM_LASTS_S = 120.0


class Claim(Enum):
    """What came of asking for an angle."""

    MINE = "mine"
    """Process it."""
    SETTLED = "settled"
    """It is done, or a later run of the same angle took its place: never process it."""
    ELSEWHERE = "elsewhere"
    """Another worker is at it: look again later."""


@dataclass(frozen=True)
class AngleRecord:
    """What stands in the catalogue about one projection."""

    run_uid: str
    run_time: float
    state: RecordState
    worker: str
    claimed_at: float
    angle_index: int
    theta_deg: float

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "AngleRecord":
        """Read a record's metadata."""
        return cls(
            str(metadata["run_uid"]),
            float(metadata["run_time"]),
            metadata["state"],
            str(metadata["worker"]),
            float(metadata["claimed_at"]),
            int(metadata["angle_index"]),
            float(metadata["theta_deg"]),
        )

    def settles(self, run_uid: str, run_time: float) -> bool:
        """Whether, with this record, a run needs no processing (any more)."""
        if self.run_uid == run_uid:
            return self.state == "complete"
        return self.state != "failed" and (self.run_time, self.run_uid) > (run_time, run_uid)


def record_key(angle_index: int, purpose: str) -> str:
    """Of the record of one projection, in order of the angles."""
    return f"{angle_index:04d}" if purpose == "coarse" else f"{angle_index:04d}-{purpose}"


def claim_angle(series: SeriesNode, start: ProjectionStart, run_uid: str, run_time: float, worker: str) -> Claim:
    """Ask for one projection; of several workers that ask at once one is told to process it."""
    key = record_key(start.angle_index, start.purpose)
    claim = {
        "run_uid": run_uid,
        "run_time": run_time,
        "angle_index": start.angle_index,
        "theta_deg": start.theta_deg,
        "purpose": start.purpose,
        "state": "writing",
        "worker": worker,
        "claimed_at": time.time(),
    }
    with catalog_errors(f"claiming angle {key} of series {series.key}"):
        if create_container(series.projections, key, claim) is not None:
            return Claim.MINE
        node = series.projections[key]
        record = AngleRecord.from_metadata(node.metadata)
        if record.settles(run_uid, run_time):
            return Claim.SETTLED
        busy = record.run_uid == run_uid and record.state == "writing" and record.worker != worker
        if busy and time.time() - record.claimed_at < _CLAIM_LASTS_S:
            return Claim.ELSEWHERE
        merge_metadata(node, claim)
        return Claim.MINE


def commit_angle(series: SeriesNode, raw: RawProjection, details: Mapping[str, Any]) -> bool:
    """Call a projection complete, once everything of it is written.

    Args:
        series: it belongs to.
        raw: the projection.
        details: lineage for whoever reads the maps: probe, enhancer, fit, times, software.

    Returns:
        False where another run of the same angle came in between. Then nothing is complete: what was written may be a
        mixture, so that the later run is marked to be done once more.
    """
    key = record_key(raw.start.angle_index, raw.start.purpose)
    with catalog_errors(f"completing angle {key} of series {series.key}"):
        node = series.projections[key]
        record = AngleRecord.from_metadata(node.metadata)
        if record.run_uid != raw.run_uid:
            merge_metadata(node, {"state": "redo"})
            return False
        merge_metadata(node, {**details, "error": None, "state": "complete"})
        return True


def fail_angle(series: SeriesNode, start: ProjectionStart, run_uid: str, error: str) -> None:
    """Note on a projection that its processing failed, where a person looking for the missing angle sees it."""
    key = record_key(start.angle_index, start.purpose)
    with catalog_errors(f"noting the failure of angle {key} of series {series.key}"):
        node = series.projections[key]
        if AngleRecord.from_metadata(node.metadata).run_uid == run_uid:
            merge_metadata(node, {"state": "failed", "error": error})


def read_records(series_container: Any) -> dict[str, AngleRecord]:
    """Every record of a series by its key; none where the worker that made the series died before its first one."""
    try:
        projections = series_container["projections"]
    except KeyError:
        return {}
    return {key: AngleRecord.from_metadata(node.metadata) for key, node in projections.items()}


def done_angle_indices(series_container: Any) -> tuple[int, ...]:
    """Indices of the angles whose coarse projection is complete, in order."""
    complete = series_container["projections"].search(Eq("state", "complete")).search(Eq("purpose", "coarse"))
    return tuple(sorted(int(key) for key in complete.keys()))  # noqa: SIM118 - Tiled's keys() asks for keys alone
