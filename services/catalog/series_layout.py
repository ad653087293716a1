"""The preallocated arrays of a series in ``/processed``: made once, whichever worker comes first or dies half-way."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from tiled.queries import Eq
from tiled.structures.core import Spec

from models.run_schema import ProjectionStart
from services.catalog.client import (
    AccessTags,
    Catalog,
    access_tags_of,
    catalog_errors,
    create_array,
    ensure_container,
    unless_taken,
)
from services.catalog.provenance import software_versions
from services.catalog.records import CatalogError, MalformedRunError, NotFoundError
from services.catalog.runs import access_tags_of_run, earliest_run
from services.catalog.stacks import UNITS, Stacks, ensure_stacks
from services.logs import LoggedPool

SERIES_SPEC = "SubprobeSeries"
PROJECTIONS = "projections"
ANGLES = "angles_deg"

_COARSE_GRID = ("fitted", "fitted_sigma", "consistency", "denial")
_FINE_GRID = ("enhanced", "enhanced_sigma", "supported", "supported_sigma")
_FINE_SCAN = ("fine", "fine_sigma")


@dataclass(frozen=True)
class SeriesNode:
    """A series opened for writing."""

    key: str
    series_uid: str
    elements: tuple[str, ...]
    shape: tuple[int, int]
    step_nm: float
    scale: int
    n_angles: int
    container: Any
    projections: Any
    stacks: Stacks

    @property
    def access_tags(self) -> AccessTags:
        """Who may see it: whoever may see its earliest run."""
        return access_tags_of(self.container)

    def check_owner(self, run_uid: str, access_tags: AccessTags) -> None:
        """Make sure that those who may see this series are those who may see a run that would go into it.

        Raises:
            MalformedRunError: others may.
        """
        if access_tags != self.access_tags:
            # Read by the run's people, so it names nobody else's.
            raise MalformedRunError(
                f"run {run_uid} says it belongs to a series that was begun for others: start a new series for it"
            )

    def check_fits(self, start: ProjectionStart) -> None:
        """Make sure a projection belongs on the stacks of this series.

        Raises:
            MalformedRunError: its elements, number of angles or (of a coarse scan) raster are others.
        """
        had = {"elements": (start.elements, self.elements), "n_angles": (start.n_angles, self.n_angles)}
        if start.purpose == "coarse":
            had |= {"shape": (start.scan.shape, self.shape), "step_nm": (start.scan.step_nm, self.step_nm)}
        for name, (given, needed) in had.items():
            if given != needed:
                raise MalformedRunError(
                    f"{name} is {given} where series {self.key} has {needed}: start a new series for it"
                )


def find_series_container(catalog: Catalog, series_uid: str) -> Any | None:
    """The container of a series, or None where no projection of it was processed yet."""
    found = catalog.processed.search(Eq("series_uid", series_uid)).values()
    return next(iter(found), None)


def ensure_series(catalog: Catalog, start: ProjectionStart, scale: int, owner: str) -> SeriesNode:
    """Open the series a projection belongs to; what is missing of it is created, NaN where nothing is measured.

    The scale of a series is that of its creation.

    Args:
        catalog: where.
        start: of a projection of the series; a coarse one where the series does not exist yet.
        scale: fine pixels per coarse pixel, for a new series.
        owner: name of the worker, unique among those that run.

    Raises:
        MalformedRunError: the projection does not fit the series.
        NotFoundError: the series does not exist and this projection cannot make it, being a fine scan.
    """
    with catalog_errors(f"opening series {start.series_uid}"):
        container = find_series_container(catalog, start.series_uid)
        if container is None:
            container = _create_series(catalog, start, scale)
        series = _open_series(container, owner)
    series.check_fits(start)
    return series


def ensure_fine_stacks(series: SeriesNode, start: ProjectionStart, owner: str) -> Stacks:
    """Open the stacks of a series' fine partner scans, ``fine/<El>`` and ``fine_sigma/<El>``.

    Raises:
        MalformedRunError: this fine scan has another raster than the first one of the series.
    """
    shape = (series.n_angles, *start.scan.shape)
    with catalog_errors(f"opening the fine scans of series {series.key}"):
        fine, sigma = (ensure_stacks(series.container, source, series.elements, shape, owner) for source in _FINE_SCAN)
        return {**fine, **sigma}


def series_key(scan_id: int, sample_name: str, series_uid: str) -> str:
    """Readable and safe in an address: ``<scan_id>-<sample>-<first 8 of the uid>``."""
    sample = re.sub(r"[^A-Za-z0-9_]+", "-", sample_name).strip("-")[:40] or "sample"
    return f"{scan_id}-{sample}-{re.sub(r'[^A-Za-z0-9]', '', series_uid)[:8]}"


def _create_series(catalog: Catalog, start: ProjectionStart, scale: int) -> Any:
    if start.purpose != "coarse":
        raise NotFoundError(f"series {start.series_uid} has no coarse projection yet: its fine scans wait for one")
    first = earliest_run(catalog, start.series_uid)
    tags = access_tags_of_run(catalog, first.run_uid)
    key = series_key(first.scan_id, str(first.start.get("sample_name", start.sample_name)), start.series_uid)
    metadata = _series_metadata(start, scale)
    container = ensure_container(catalog.processed, key, metadata, [Spec(SERIES_SPEC, version="1.0")], tags)
    if container.metadata.get("series_uid") != start.series_uid:
        raise CatalogError(
            f"/processed/{key} is taken by something else: rename the sample of series {start.series_uid}"
        )
    return container


def _series_metadata(start: ProjectionStart, scale: int) -> dict[str, Any]:
    angles = start.angles_deg or (None,) * start.n_angles
    return {
        "series_uid": start.series_uid,
        "series_name": start.series_name,
        "sample_name": start.sample_name,
        "elements": list(start.elements),
        "angles_deg": list(angles),
        "n_angles": start.n_angles,
        "shape": list(start.scan.shape),
        "step_nm": start.scan.step_nm,
        "motion": start.scan.motion,
        "scale": scale,
        "pixel_size_nm": {"fitted": start.scan.step_nm, "enhanced": start.scan.step_nm / scale},
        "energy_kev": start.energy_kev,
        "units": UNITS,
        "done_angles": [],
        "n_done": 0,
        "state": "measuring",
        "software": software_versions(),
    }


def _open_series(container: Any, owner: str) -> SeriesNode:
    metadata = container.metadata
    elements = tuple(metadata["elements"])
    rows, points = metadata["shape"]
    scale, n_angles = int(metadata["scale"]), int(metadata["n_angles"])
    coarse, fine = (n_angles, rows, points), (n_angles, scale * rows, scale * points)
    shapes = dict.fromkeys(_COARSE_GRID, coarse) | dict.fromkeys(_FINE_GRID, fine)
    there = dict(container.items())
    with LoggedPool(len(shapes)) as threads:
        groups = [
            threads.submit(ensure_stacks, container, source, elements, shape, owner, there.get(source))
            for source, shape in shapes.items()
        ]
        _write_angles(container, there.get(ANGLES))
        projections = there.get(PROJECTIONS)
        if projections is None:
            projections = ensure_container(container, PROJECTIONS)
        stacks = {place: stack for group in groups for place, stack in group.result().items()}
    return SeriesNode(
        container.item["id"],
        metadata["series_uid"],
        elements,
        (rows, points),
        float(metadata["step_nm"]),
        scale,
        n_angles,
        container,
        projections,
        stacks,
    )


def _write_angles(container: Any, existing: Any | None) -> None:
    """The angles as an array too, which the web client draws; metadata stays the truth and is written again here."""
    angles = [np.nan if angle is None else angle for angle in container.metadata["angles_deg"]]
    values = np.array(angles, dtype=np.float32)
    if existing is None:
        with unless_taken():
            create_array(container, ANGLES, values, ("angle",), {"units": "deg"})
    else:
        existing.write(values)
