"""What of ``/processed`` can be computed again, how much room it takes, and its removal; ``/raw`` is never touched."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tiled.queries import SpecsQuery

from services.catalog.client import Catalog, catalog_errors
from services.catalog.records import CatalogError, NotFoundError
from services.catalog.series_layout import SERIES_SPEC
from services.catalog.volume_writing import VOLUME_SPEC
from services.catalog.workers import WORKER_SPEC, WORKERS

ENHANCED = ("enhanced", "enhanced_sigma", "supported", "supported_sigma", "consistency", "denial")
"""What an enhancer made of the maps; without it the fitted maps and the records of a series stand as they are."""


@dataclass(frozen=True)
class Room:
    """What something takes.

    Attributes:
        array_bytes: of its arrays, as they are read.
        disk_bytes: of their files; None where these are on another machine.
    """

    array_bytes: int
    disk_bytes: int | None

    def __add__(self, other: "Room") -> "Room":
        known = self.disk_bytes is not None and other.disk_bytes is not None
        disk_bytes = (self.disk_bytes or 0) + (other.disk_bytes or 0) if known else None
        return Room(self.array_bytes + other.array_bytes, disk_bytes)


@dataclass(frozen=True)
class StoredVolume:
    """A volume, complete or not.

    Attributes:
        begun_at: in seconds since the epoch; None of one that an older version made.
        completed_at: the same.
    """

    series_key: str
    job_id: str
    is_complete: bool
    begun_at: float | None
    completed_at: float | None


def stored_volumes(catalog: Catalog) -> list[StoredVolume]:
    """Every volume of every series, those of a series in the order in which they were begun."""
    with catalog_errors("listing volumes"):
        return [
            _stored_volume(series_key, job_id, node.metadata)
            for series_key, series in catalog.processed.search(SpecsQuery([SERIES_SPEC])).items()
            if "volumes" in series
            for job_id, node in series["volumes"].search(SpecsQuery([VOLUME_SPEC])).items()
        ]


def room_of(catalog: Catalog, *place: str) -> Room:
    """What a node of ``/processed`` takes with all below it.

    Raises:
        NotFoundError: it is not there.
    """
    with catalog_errors(f"measuring {'/'.join(place)}"):
        return sum(_rooms(_node(catalog, place).new_variation(include_data_sources=True)), Room(0, 0))


def remove_volume(catalog: Catalog, series_key: str, job_id: str) -> None:
    """Remove a volume.

    Raises:
        CatalogError: it is none of ours, or Tiled does not allow it.
    """
    _remove(catalog, VOLUME_SPEC, (series_key, "volumes", job_id))


def enhanced_of(catalog: Catalog, series_key: str) -> list[str]:
    """Which of `ENHANCED` a series has."""
    with catalog_errors(f"looking at series {series_key}"):
        there = set(_node(catalog, (series_key,)))
    return [name for name in ENHANCED if name in there]


def remove_enhanced(catalog: Catalog, series_key: str, name: str) -> None:
    """Remove one of `ENHANCED` from a series.

    Raises:
        CatalogError: it is no series of ours, or Tiled does not allow it.
    """
    if name not in ENHANCED:
        raise CatalogError(f"{name} of series {series_key} cannot be computed again: allowed are {', '.join(ENHANCED)}")
    _remove(catalog, SERIES_SPEC, (series_key,), name)


def remove_worker(catalog: Catalog, key: str) -> None:
    """Remove what a worker said of itself.

    Raises:
        CatalogError: it is none of ours, or Tiled does not allow it.
    """
    _remove(catalog, WORKER_SPEC, (WORKERS, key))


def _remove(catalog: Catalog, spec: str, place: tuple[str, ...], *below: str) -> None:
    """Remove what is at, or below, a place; only where that bears our spec now."""
    with catalog_errors(f"removing {'/'.join((*place, *below))}"):
        node = _node(catalog, place)
        if spec not in [one.name for one in node.specs]:
            raise CatalogError(f"/processed/{'/'.join(place)} is no {spec}: it stays")
        _node(catalog, (*place, *below)).delete(recursive=True, external_only=False)


def _node(catalog: Catalog, place: tuple[str, ...]) -> Any:
    try:
        return catalog.processed[place]
    except KeyError:
        raise NotFoundError(f"there is no {'/'.join(place)} in /processed") from None


def _stored_volume(series_key: str, job_id: str, metadata: Any) -> StoredVolume:
    begun_at, completed_at = metadata.get("begun_at"), metadata.get("completed_at")
    return StoredVolume(series_key, job_id, metadata["state"] == "complete", begun_at, completed_at)


def _rooms(node: Any) -> Iterator[Room]:
    if node.structure_family == "container":
        for child in node.values():
            yield from _rooms(child)
        return
    structure = node.structure()
    n_bytes = structure.data_type.itemsize
    for length in structure.shape:
        n_bytes *= length
    yield Room(n_bytes, _disk_bytes(node))


def _disk_bytes(node: Any) -> int | None:
    assets = [asset for source in node.data_sources() or () for asset in source.assets]
    folders = [Path(unquote(urlsplit(asset.data_uri).path)) for asset in assets]
    if not folders or not all(folder.exists() for folder in folders):
        return None
    return sum(file.stat().st_size for folder in folders for file in (folder, *folder.rglob("*")) if file.is_file())
