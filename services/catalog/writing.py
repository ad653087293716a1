"""Writing the products of one projection into their places on the stacks of the series."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.superres.enhancer import EnhancedMaps
from models.superres.trust import Trust
from models.xrf.maps import ElementMaps
from services.catalog.angle_records import done_angle_indices, read_records
from services.catalog.client import catalog_errors, merge_metadata
from services.catalog.series_layout import ANGLES, SeriesNode
from services.catalog.stacks import Stacks
from services.logs import LoggedPool

_PARALLEL_WRITES = 4
_Plane = tuple[tuple[str, str], NDArray[np.float32]]


def write_coarse(series: SeriesNode, angle_index: int, maps: ElementMaps, enhanced: EnhancedMaps) -> float:
    """Write one coarse projection: the enhanced maps first, since someone watches them grow.

    Returns:
        When the enhanced maps were readable, in seconds since the epoch.
    """
    first = list(_planes("enhanced", enhanced.elements, enhanced.values))
    _write_planes(series.key, series.stacks, angle_index, first)
    readable_at = time.time()
    planes = [
        *_planes("enhanced_sigma", enhanced.elements, enhanced.sigma),
        *_planes("fitted", maps.elements, maps.values),
        *_planes("fitted_sigma", maps.elements, np.sqrt(maps.variance)),
        *_planes("consistency", enhanced.elements, enhanced.consistency),
    ]
    _write_planes(series.key, series.stacks, angle_index, planes)
    return readable_at


def write_trust(series: SeriesNode, angle_index: int, trust: Trust) -> None:
    """Write how far to trust the enhanced maps of one coarse projection: what is wanted a moment later than they."""
    planes = [
        *_planes("supported", series.elements, trust.supported),
        *_planes("supported_sigma", series.elements, trust.supported_sigma),
        *_planes("denial", series.elements, trust.denial),
    ]
    _write_planes(series.key, series.stacks, angle_index, planes)


def write_fine(series: SeriesNode, stacks: Stacks, angle_index: int, maps: ElementMaps) -> None:
    """Write the fitted maps of one fine partner scan."""
    planes = [
        *_planes("fine", maps.elements, maps.values),
        *_planes("fine_sigma", maps.elements, np.sqrt(maps.variance)),
    ]
    _write_planes(series.key, stacks, angle_index, planes)


def summarise_series(series: SeriesNode, latest: Mapping[str, Any] | None = None) -> int:
    """Bring the summary in a series' metadata up to date with its records; returns how many angles are done.

    Args:
        series: which.
        latest: what else to note, for example the probe used last or what the series waits for; None deletes a key.
    """
    with catalog_errors(f"summarising series {series.key}"):
        done = done_angle_indices(series.container)
        summary = {
            "done_angles": list(done),
            "n_done": len(done),
            "state": "complete" if len(done) == series.n_angles else "measuring",
        }
        if None in series.container.metadata["angles_deg"]:
            summary |= {"angles_deg": _note_measured_angles(series)}
        merge_metadata(series.container, summary | dict(latest or {}))
        return len(done)


def note_waiting(series: SeriesNode, reason: str) -> None:
    """Say on a series why its projections are not processed; the next summary takes it back."""
    with catalog_errors(f"noting what series {series.key} waits for"):
        merge_metadata(series.container, {"waiting": reason})


def _note_measured_angles(series: SeriesNode) -> list[float | None]:
    """The angles of a series whose plan did not list them beforehand, as far as they are measured."""
    angles: list[float | None] = [None] * series.n_angles
    for record in read_records(series.container).values():
        angles[record.angle_index] = record.theta_deg
    series.container[ANGLES].write(np.array([np.nan if angle is None else angle for angle in angles], dtype=np.float32))
    return angles


def _planes(source: str, elements: tuple[str, ...], maps: NDArray[np.float32]) -> Iterator[_Plane]:
    for element, plane in zip(elements, maps, strict=True):
        yield (source, element), np.ascontiguousarray(plane, dtype=np.float32)


def _write_planes(key: str, stacks: Stacks, angle_index: int, planes: list[_Plane]) -> None:
    for place, plane in planes:
        if plane.shape != tuple(stacks[place].shape[1:]):
            raise ValueError(
                f"{place} of series {key} takes maps of shape {stacks[place].shape[1:]}, not {plane.shape}"
            )
    with (
        catalog_errors(f"writing angle {angle_index} of series {key}"),
        LoggedPool(_PARALLEL_WRITES) as threads,
    ):
        written = [
            threads.submit(stacks[place].write_block, plane[None], (angle_index, 0, 0)) for place, plane in planes
        ]
        for future in written:
            future.result()
