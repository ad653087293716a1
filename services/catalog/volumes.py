"""Volumes in ``/processed/<series>/volumes/<job id>``; without ``state: complete`` one does not exist for readers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tiled.queries import Eq
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec
from tiled.structures.data_source import DataSource

from services.catalog.client import Catalog, catalog_errors, create_container, ensure_container
from services.catalog.records import CatalogError, MapSource, NotFoundError, VolumeRecord

VOLUME_SPEC = "SubprobeVolume"
UNITS = "g/cm^3"
AXES = ("z", "y", "x")

Volume = NDArray[np.float32]
Plane = Literal["xy", "xz", "yz"]
PLANES: dict[Plane, int] = {"xy": 0, "xz": 1, "yz": 2}
"""The axis of (z, y, x) that each plane leaves out."""

_CURVE = ("correlation", "half_bit", "one_bit", "one_seventh")
_COMPLETE = {"state": "complete"}
_CHUNK_BYTES = 8 * 2**20  # a few slices: one request while writing, and little to fetch for one slice in the web client


@dataclass(frozen=True, eq=False)
class ResolutionCurve:
    """Fourier shell correlation of two halves of the angles, as it is stored.

    Attributes:
        source: of the maps.
        frequency_per_nm: (shell,).
        values: (shell,) correlation.
        thresholds: (shell,) of half_bit, one_bit and one_seventh.
        metadata: the resolution in words by each criterion, whether the halves are independent, and the note on it.
    """

    source: MapSource
    frequency_per_nm: NDArray[np.float64]
    values: NDArray[np.float64]
    thresholds: Mapping[str, NDArray[np.float64]]
    metadata: Mapping[str, Any]


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
    curves: Mapping[str, Sequence[ResolutionCurve]] | None = None,
) -> VolumeRecord:
    """Write the volumes of one job; doing it again changes nothing, and what an interrupted attempt left is replaced.

    Args:
        catalog: where to.
        series_key: an existing series.
        job_id: unique; names the container.
        volumes: (z, y, x) of each element in g/cm^3.
        metadata: of the container; ``units``, ``elements`` and ``state`` are added.
        on_progress: told the written fraction after each chunk; what it raises stops the writing.
        curves: of each element; elements without are left out.

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
            _write_images(container, element, volume)
            for curve in (curves or {}).get(element, ()):
                _write_curve(container, element, curve)
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


def read_maximum(catalog: Catalog, series_key: str, job_id: str, element: str, plane: Plane) -> NDArray[np.float32]:
    """The largest value along the axis that a plane leaves out; axes as of `read_slice`.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    return _read(catalog, series_key, job_id, element, _maximum_key(element, plane))


def read_curves(catalog: Catalog, series_key: str, job_id: str, element: str) -> list[ResolutionCurve]:
    """The resolution of a volume, the fitted maps' first; empty where halves were not compared.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    with catalog_errors(f"reading the resolution of volume {job_id} of {series_key}"):
        container = _complete(catalog, series_key, job_id, element)
        sources: tuple[MapSource, ...] = ("fitted", "enhanced")
        return [
            _curve(source, container[_curve_key(element, source)])
            for source in sources
            if _curve_key(element, source) in container
        ]


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


def _write_images(container: Any, element: str, volume: Volume) -> None:
    """Middle slices and maximum projections as arrays of their own: the web client opens a volume along z only."""
    for plane, axis in PLANES.items():
        middle = volume.shape[axis] // 2
        dims = tuple(name for name in AXES if name != AXES[axis])
        described = {"element": element, "units": UNITS, "dims": list(dims), "axis": AXES[axis]}
        images = {
            _slice_key(element, plane): (volume.take(middle, axis), {"index": middle}),
            _maximum_key(element, plane): (volume.max(axis), {"of": "maximum along the axis"}),
        }
        for key, (image, what) in images.items():
            pixels = np.ascontiguousarray(image, np.float32)
            container.write_array(pixels, key=key, dims=dims, metadata=described | what)


def _write_curve(container: Any, element: str, curve: ResolutionCurve) -> None:
    """Every column an array of its own, on the frequencies beside it."""
    metadata = {"element": element, "source": curve.source, **curve.metadata}
    node = container.create_container(_curve_key(element, curve.source), metadata=metadata)
    node.write_array(curve.frequency_per_nm, key="frequency_per_nm", dims=("shell",), metadata={"units": "1/nm"})
    for name, values in {"correlation": curve.values, **curve.thresholds}.items():
        node.write_array(values, key=name, dims=("shell",), metadata={"x": "frequency_per_nm"})


def _slice_key(element: str, plane: Plane) -> str:
    return f"{element}_slice_{plane}"


def _maximum_key(element: str, plane: Plane) -> str:
    return f"{element}_maximum_{plane}"


def _curve_key(element: str, source: MapSource) -> str:
    return f"{element}_resolution_{source}"


def _read(catalog: Catalog, series_key: str, job_id: str, element: str, key: str) -> NDArray[np.float32]:
    with catalog_errors(f"reading volume {job_id} of {series_key}"):
        return np.asarray(_complete(catalog, series_key, job_id, element)[key].read(), np.float32)


def _complete(catalog: Catalog, series_key: str, job_id: str, element: str) -> Any:
    try:
        container = catalog.processed[series_key, "volumes", job_id]
    except KeyError:
        raise NotFoundError(f"series {series_key} has no volume {job_id}") from None
    record = _record(series_key, container)
    if record.metadata["state"] != "complete":
        raise NotFoundError(f"volume {job_id} of {series_key} is not complete")
    if element not in record.elements:
        raise NotFoundError(f"volume {job_id} has no element {element}: it has {', '.join(record.elements)}")
    return container


def _curve(source: MapSource, node: Any) -> ResolutionCurve:
    frequency, values, *thresholds = (np.asarray(node[name].read()) for name in ("frequency_per_nm", *_CURVE))
    return ResolutionCurve(source, frequency, values, dict(zip(_CURVE[1:], thresholds, strict=True)), node.metadata)


def _record(series_key: str, container: Any) -> VolumeRecord:
    metadata = dict(container.metadata)
    return VolumeRecord(series_key, str(container.item["id"]), tuple(metadata["elements"]), metadata)
