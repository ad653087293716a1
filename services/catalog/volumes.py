"""Volumes in ``/processed/<series>/volumes/<job id>``; without ``state: complete`` one does not exist for readers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tiled.queries import Eq
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec
from tiled.structures.data_source import DataSource

from services.catalog.client import Catalog, catalog_errors, create_container, ensure_container
from services.catalog.records import CatalogError, NotFoundError, VolumeRecord

VOLUME_SPEC = "SubprobeVolume"
UNITS = "g/cm^3"
AXES = ("z", "y", "x")

Volume = NDArray[np.float32]
Plane = Literal["xy", "xz", "yz"]
PLANES: dict[Plane, int] = {"xy": 0, "xz": 1, "yz": 2}
"""The axis of (z, y, x) that each plane leaves out."""

_COMPLETE = {"state": "complete"}
_CHUNK_BYTES = 8 * 2**20  # a few slices: one request while writing, and little to fetch for one slice in the web client


def volume_path(series_key: str, job_id: str) -> str:
    """Where a job's volumes stand, from the root of the catalogue."""
    return f"processed/{series_key}/volumes/{job_id}"


def write_volumes(
    catalog: Catalog,
    series_key: str,
    job_id: str,
    volumes: Mapping[str, Volume],
    metadata: Mapping[str, Any],
    on_progress: Callable[[float], None] = lambda _: None,
) -> VolumeRecord:
    """Write the volumes of one job; doing it again changes nothing, and what an interrupted attempt left is replaced.

    Args:
        catalog: where to.
        series_key: an existing series.
        job_id: unique; names the container.
        volumes: (z, y, x) of each element in g/cm^3.
        metadata: of the container; ``units``, ``elements`` and ``state`` are added.
        on_progress: told the written fraction after each chunk; what it raises stops the writing.

    Raises:
        NotFoundError: no such series.
        CatalogUnreachableError: Tiled does not answer.
    """
    with catalog_errors(f"writing volume {job_id} of {series_key}"):
        parent = ensure_container(_series(catalog, series_key), "volumes")
        described = {**metadata, "elements": list(volumes), "units": UNITS, "dims": list(AXES), "state": "writing"}
        container = _claim(parent, job_id, described)
        if container.metadata["state"] == "complete":
            return _record(series_key, container)
        total = sum(volume.nbytes for volume in volumes.values())
        written = 0
        for element, volume in volumes.items():
            for n_bytes in _write_array(container, element, np.ascontiguousarray(volume, np.float32)):
                written += n_bytes
                on_progress(written / total)
            _write_slices(container, element, volume)
        container.update_metadata(_COMPLETE)
        return _record(series_key, parent[job_id])


def list_volumes(catalog: Catalog, series_key: str) -> list[VolumeRecord]:
    """The complete volumes of a series, newest last.

    Raises:
        NotFoundError: no such series.
    """
    with catalog_errors(f"listing the volumes of {series_key}"):
        series = _series(catalog, series_key)
        if "volumes" not in series:
            return []
        complete = series["volumes"].search(Eq("state", "complete"))
        return [_record(series_key, container) for container in complete.values()]


def read_volume(catalog: Catalog, series_key: str, job_id: str, element: str) -> Volume:
    """One element's volume, (z, y, x) in g/cm^3.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    return _read(catalog, series_key, job_id, element, element)


def read_slice(catalog: Catalog, series_key: str, job_id: str, element: str, plane: Plane) -> NDArray[np.float32]:
    """The middle slice of a volume; axes slow to fast: (y, x) of xy, (z, x) of xz, (z, y) of yz.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    return _read(catalog, series_key, job_id, element, _slice_key(element, plane))


def delete_unfinished_volume(catalog: Catalog, series_key: str, job_id: str) -> None:
    """Remove what a cancelled job left behind; a complete volume stays."""
    with catalog_errors(f"removing volume {job_id} of {series_key}"):
        series = _series(catalog, series_key)
        if "volumes" not in series or job_id not in series["volumes"]:
            return
        container = series["volumes"][job_id]
        if container.metadata["state"] != "complete":
            container.delete(recursive=True, external_only=False)


def _series(catalog: Catalog, series_key: str) -> Any:
    try:
        return catalog.processed[series_key]
    except KeyError:
        raise NotFoundError(f"no series {series_key} in /processed") from None


def _claim(parent: Any, job_id: str, metadata: Mapping[str, Any]) -> Any:
    container = create_container(parent, job_id, metadata, [Spec(VOLUME_SPEC, version="1.0")])
    if container is not None:
        return container
    earlier = parent[job_id]
    if earlier.metadata["state"] == "complete":
        return earlier
    earlier.delete(recursive=True, external_only=False)
    container = create_container(parent, job_id, metadata, [Spec(VOLUME_SPEC, version="1.0")])
    if container is None:
        raise CatalogError(f"volume {job_id} is being written by another process")
    return container


def _write_array(container: Any, element: str, volume: Volume) -> Iterator[int]:
    """Write chunk by chunk, yielding the bytes of each."""
    depth, height, width = volume.shape
    thickness = max(1, min(depth, _CHUNK_BYTES // max(1, volume[0].nbytes)))
    starts = range(0, depth, thickness)
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(volume.dtype),
        shape=volume.shape,
        chunks=(tuple(min(thickness, depth - start) for start in starts), (height,), (width,)),
        dims=AXES,
    )
    source = DataSource(structure_family="array", structure=structure)
    metadata = {"element": element, "units": UNITS, "dims": list(AXES)}
    array = container.new("array", [source], key=element, metadata=metadata)
    for block, start in enumerate(starts):
        chunk = volume[start : start + thickness]
        array.write_block(chunk, (block, 0, 0))
        yield chunk.nbytes


def _write_slices(container: Any, element: str, volume: Volume) -> None:
    """The middle slices as arrays of their own: the web client opens a volume along z only."""
    for plane, axis in PLANES.items():
        middle = volume.shape[axis] // 2
        dims = tuple(name for name in AXES if name != AXES[axis])
        metadata = {"element": element, "units": UNITS, "dims": list(dims), "axis": AXES[axis], "index": middle}
        image = np.ascontiguousarray(volume.take(middle, axis), np.float32)
        container.write_array(image, key=_slice_key(element, plane), dims=dims, metadata=metadata)


def _slice_key(element: str, plane: Plane) -> str:
    return f"{element}_slice_{plane}"


def _read(catalog: Catalog, series_key: str, job_id: str, element: str, key: str) -> NDArray[np.float32]:
    with catalog_errors(f"reading volume {job_id} of {series_key}"):
        try:
            container = catalog.processed[series_key, "volumes", job_id]
        except KeyError:
            raise NotFoundError(f"series {series_key} has no volume {job_id}") from None
        record = _record(series_key, container)
        if record.metadata["state"] != "complete":
            raise NotFoundError(f"volume {job_id} of {series_key} is not complete")
        if element not in record.elements:
            raise NotFoundError(f"volume {job_id} has no element {element}: it has {', '.join(record.elements)}")
        return np.asarray(container[key].read(), np.float32)


def _record(series_key: str, container: Any) -> VolumeRecord:
    metadata = dict(container.metadata)
    return VolumeRecord(series_key, str(container.item["id"]), tuple(metadata["elements"]), metadata)
