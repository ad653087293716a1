"""Angles that were scanned twice, coarse and fine: what `subprobe finetune` learns from."""

from dataclasses import dataclass
from typing import Any

from tiled.queries import Eq

from models.run_schema import ProjectionStart
from services.catalog.angle_records import record_key
from services.catalog.client import Catalog, catalog_errors
from services.catalog.products import series_container
from services.catalog.records import NotFoundError
from services.catalog.runs import FinishedRun, projection_start
from services.catalog.series_layout import PROJECTIONS


@dataclass(frozen=True)
class ScannedTwice:
    """One angle whose coarse and fine projections are both complete.

    Attributes:
        angle_index, theta_deg: which.
        coarse, fine: what the two runs say of themselves.
        probe: key of the probe that the coarse maps were enhanced with.
    """

    angle_index: int
    theta_deg: float
    coarse: ProjectionStart
    fine: ProjectionStart
    probe: str


def angles_scanned_twice(catalog: Catalog, key: str) -> tuple[ScannedTwice, ...]:
    """In order of the angles; none where the series has no fine scans.

    Raises:
        NotFoundError: no such series, or a run of it is gone from /raw.
    """
    with catalog_errors(f"looking for fine scans in series {key}"):
        complete = series_container(catalog, key)[PROJECTIONS].search(Eq("state", "complete"))
        records: dict[str, dict[str, Any]] = {name: dict(node.metadata) for name, node in complete.items()}
    found = []
    for record in records.values():
        index = int(record["angle_index"])
        fine = records.get(record_key(index, "fine"))
        if record["purpose"] == "coarse" and fine is not None:
            coarse_start, fine_start = (_start(catalog, str(one["run_uid"])) for one in (record, fine))
            probe = str(record["probe"]["key"])
            found.append(ScannedTwice(index, float(record["theta_deg"]), coarse_start, fine_start, probe))
    return tuple(sorted(found, key=lambda angle: angle.angle_index))


def _start(catalog: Catalog, run_uid: str) -> ProjectionStart:
    with catalog_errors(f"reading the start of run {run_uid}"):
        try:
            metadata = catalog.root["raw", run_uid].metadata
        except KeyError as error:
            raise NotFoundError(f"run {run_uid} is not in /raw any more, and only it says its raster") from error
        return projection_start(run_uid, FinishedRun.from_metadata(run_uid, metadata).start)
