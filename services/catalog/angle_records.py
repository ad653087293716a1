"""One small record per projection of a series: who works on it, and whether it is done.

The records are the truth about completeness; what a series' own metadata says is a summary of them. A record lives at
``/processed/<series>/projections/<index>`` (``<index>-fine`` for the fine partner scan). Its ``state`` becomes
``complete`` last of all, so that a reader never takes a half-written map for a whole one, and a worker killed
anywhere leaves something that is simply done again. Where an angle was measured twice the run that started later
wins, whatever the order of processing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tiled.queries import Eq

from models.run_schema import ProjectionStart
from services.catalog.claims import Claims, Hold, Refusal, Standing
from services.catalog.client import catalog_errors, merge_metadata
from services.catalog.records import RawProjection
from services.catalog.series_layout import SeriesNode

RecordState = Literal["writing", "complete", "failed", "redo", "released"]


@dataclass(frozen=True)
class AngleRecord:
    """What stands in the catalogue about one projection."""

    run_uid: str
    run_time: float
    state: RecordState
    worker: str
    turn: int
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
            int(metadata.get("turn", 0)),
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


def claim_angle(
    series: SeriesNode, start: ProjectionStart, run_uid: str, run_time: float, claims: Claims
) -> Hold | Refusal:
    """Ask for one projection.

    Raises:
        WornOutError: it was begun too often and never ended.
    """
    key = record_key(start.angle_index, start.purpose)
    about = {
        "run_uid": run_uid,
        "run_time": run_time,
        "angle_index": start.angle_index,
        "theta_deg": start.theta_deg,
        "purpose": start.purpose,
    }

    def standing(metadata: Mapping[str, Any]) -> Standing:
        record = AngleRecord.from_metadata(metadata)
        if record.settles(run_uid, run_time):
            return Standing.SETTLED
        # An earlier run that somebody writes is overtaken at once: he finds out when he wants to complete it.
        is_held = record.run_uid == run_uid and record.state == "writing"
        return Standing.HELD if is_held else Standing.FREE

    with catalog_errors(f"claiming angle {key} of series {series.key}"):
        return claims.ask(series.projections, key, about, standing)


def commit_angle(series: SeriesNode, hold: Hold, raw: RawProjection, details: Mapping[str, Any]) -> bool:
    """Call a projection complete, once everything of it is written.

    Args:
        series: it belongs to.
        hold: on its record.
        raw: the projection.
        details: lineage for whoever reads the maps: probe, enhancer, fit, times, software.

    Returns:
        False where somebody came in between. Another run of the same angle: then nothing is complete, and since what
        was written may be a mixture, the later run is marked to be done once more, and so it is by whoever has it.
        Another worker, which believed us dead: it writes the same and completes it.
    """
    with catalog_errors(f"completing angle {hold.key} of series {series.key}"):
        node = series.projections[hold.key]
        record = AngleRecord.from_metadata(node.metadata)
        if record.run_uid != raw.run_uid:
            merge_metadata(node, {"state": "redo"})
            return False
        if record.turn != hold.turn or record.state == "redo":
            return False
        merge_metadata(node, {**details, "error": None, "state": "complete"})
        return True


def fail_angle(series: SeriesNode, start: ProjectionStart, run_uid: str, error: str) -> None:
    """Note on a projection that its processing failed, where a person looking for the missing angle sees it."""
    key = record_key(start.angle_index, start.purpose)
    with catalog_errors(f"noting the failure of angle {key} of series {series.key}"):
        node = series.projections.get(key)
        if node is not None and AngleRecord.from_metadata(node.metadata).run_uid == run_uid:
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
