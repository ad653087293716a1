"""Series and volumes out of the catalogue into NeXus files, a few maps or slices at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.catalog.client import Catalog
from services.catalog.products import find_series, read_sigma, read_stack
from services.catalog.records import MapSource, NotFoundError, SeriesRecord, VolumeRecord
from services.catalog.stacks import UNITS
from services.catalog.volume_slabs import Slab, StoredVolume, stored_volume
from services.catalog.volumes import list_volumes
from services.nexus.file import nexus_file
from services.nexus.tomo import TomoSeries, write_tomo
from services.nexus.volume import Described, write_volume

Progress = Callable[[float], None]
Plane = NDArray[np.float32]

_AT_ONCE = 4
"""Angles per request: Tiled answers as many at the same time."""
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class SeriesExport:
    """What goes into the file of a series.

    Attributes:
        series: as the catalogue has it.
        source: fine or coarse maps.
        elements: one entry each.
        angles: indices of those that are done and whose angle is known.
    """

    series: SeriesRecord
    source: MapSource
    elements: tuple[str, ...]
    angles: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x) of a map."""
        scale = self.series.scale if self.source == "enhanced" else 1
        rows, points = self.series.shape
        return rows * scale, points * scale

    @property
    def n_bytes(self) -> int:
        """Of maps and their standard deviations, so nearly of the file."""
        return 2 * len(self.elements) * len(self.angles) * self.shape[0] * self.shape[1] * _FLOAT_BYTES


def plan_series(series: SeriesRecord, source: MapSource, elements: Sequence[str] = ()) -> SeriesExport:
    """What can be exported of a series now.

    Args:
        series: as the catalogue has it.
        source: fine or coarse maps.
        elements: none: all.

    Raises:
        NotFoundError: it lacks an element, or no angle is done.
    """
    if unknown := [element for element in elements if element not in series.elements]:
        raise NotFoundError(f"series {series.key} has no {', '.join(unknown)}: it has {', '.join(series.elements)}")
    angles = tuple(index for index in series.done_angles if isfinite(series.angles_deg[index]))
    if not angles:
        raise NotFoundError(f"no angle of series {series.key} is done yet: try again later")
    return SeriesExport(series, source, tuple(dict.fromkeys(elements or series.elements)), angles)


def export_series(catalog: Catalog, wanted: SeriesExport, path: Path, progress: Progress = lambda _: None) -> None:
    """Write an NXtomo entry for each element, reading a few angles at a time.

    Args:
        catalog: to read from.
        wanted: see `plan_series`.
        path: of the new file.
        progress: told the fraction done after each angle; what it raises stops the writing.

    Raises:
        CatalogError: Tiled does not answer, or something is gone.
    """
    series = wanted.series
    described = TomoSeries(
        title=series.series_name,
        sample=series.sample_name,
        angles_deg=tuple(series.angles_deg[index] for index in wanted.angles),
        shape=wanted.shape,
        pixel_nm=series.pixel_size_nm(wanted.source),
        units=UNITS,
        energy_kev=series.metadata.get("energy_kev"),
        metadata={**series.metadata, "series": series.key, "source": wanted.source, "angle_indices": wanted.angles},
    )
    with nexus_file(path) as file:
        for index, element in enumerate(wanted.elements):
            share = _share_of(progress, index, len(wanted.elements))
            write_tomo(file, element, described, _frames(catalog, wanted, element, share))


def find_volume(catalog: Catalog, series_key: str, job_id: str) -> VolumeRecord:
    """One complete volume of a series.

    Raises:
        NotFoundError: there is none.
    """
    volumes = {volume.job_id: volume for volume in list_volumes(catalog, find_series(catalog, series_key).key)}
    if job_id not in volumes:
        has = ", ".join(volumes) or "none yet"
        raise NotFoundError(
            f"series {series_key} has no volume {job_id}, it was pruned or never finished: it has {has}"
        )
    return volumes[job_id]


def export_volume(
    catalog: Catalog,
    volume: VolumeRecord,
    path: Path,
    elements: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> None:
    """Write an NXdata entry for each element, reading a few slices at a time.

    Args:
        catalog: to read from.
        volume: see `find_volume`.
        path: of the new file.
        elements: none: all.
        progress: told the fraction done after each slab; what it raises stops the writing.

    Raises:
        NotFoundError: it lacks an element.
        CatalogError: Tiled does not answer.
    """
    metadata = {**volume.metadata, "series": volume.series_key, "job": volume.job_id}
    units, sample = str(volume.metadata["units"]), str(volume.metadata.get("sample_name", volume.series_key))
    chosen = tuple(dict.fromkeys(elements or volume.elements))
    with nexus_file(path) as file:
        for index, element in enumerate(chosen):
            stored = stored_volume(catalog, volume, element)
            share = _share_of(progress, index, len(chosen))
            write_volume(file, element, Described(sample, stored.shape, units, metadata), _slabs(stored, share))


def _slabs(stored: StoredVolume, progress: Progress) -> Iterator[Slab]:
    done = 0
    for slab in stored.slabs():
        yield slab
        done += len(slab)
        progress(done / stored.shape[0])


def _frames(catalog: Catalog, wanted: SeriesExport, element: str, progress: Progress) -> Iterator[tuple[Plane, Plane]]:
    key, done = wanted.series.key, 0
    for first in range(0, len(wanted.angles), _AT_ONCE):
        indices = wanted.angles[first : first + _AT_ONCE]
        maps = read_stack(catalog, key, wanted.source, element, indices)
        sigmas = read_sigma(catalog, key, wanted.source, element, indices)
        for plane, sigma in zip(maps, sigmas, strict=True):
            yield plane, sigma
            done += 1
            progress(done / len(wanted.angles))


def _share_of(progress: Progress, index: int, count: int) -> Progress:
    return lambda fraction: progress((index + fraction) / count)
