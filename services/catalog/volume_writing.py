"""Writing volumes slab by slab, by one process or many; without ``state: complete`` one does not exist for readers.

Whoever begins a volume makes room for all of it; others then write slabs, and what is theirs alone, into that room, and
make nothing: where it was taken away they are told so. What was begun again has another attempt.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec

from services.catalog.client import (
    Catalog,
    catalog_errors,
    create_array,
    create_container,
    create_empty_array,
    ensure_container,
    merge_metadata,
)
from services.catalog.records import CatalogError, NotFoundError, VolumeRecord
from services.catalog.stacks import UNITS as STACK_UNITS
from services.catalog.volumes import (
    AXES,
    PLANES,
    UNITS,
    Plane,
    ResolutionCurve,
    curve_key,
    maximum_key,
    series_node,
    slice_key,
    volume_record,
)
from services.logs import LoggedPool

VOLUME_SPEC = "SubprobeVolume"
_PLACED = "placed"
_CHUNK_BYTES = 2 * 2**20
"""A slab is several chunks along z: a slice in the web client then takes little more than itself out of each slab."""
_PARALLEL_WRITES = 4

Image = NDArray[np.float32]
Volume = NDArray[np.float32]
Stack = NDArray[np.float32]


@dataclass(frozen=True)
class VolumePlace:
    """Where the slabs of one attempt at a volume go.

    Attributes:
        series_key: of the series.
        job_id: names the volume.
        attempt: unique to whoever began it last.
    """

    series_key: str
    job_id: str
    attempt: str


@dataclass(frozen=True, eq=False)
class VolumeImages:
    """For browsing, since the web client opens a volume along z only; axes as `PLANES` leaves them.

    Attributes:
        slices: in the middle of the axis that each plane leaves out.
        maxima: largest values along it.
    """

    slices: Mapping[Plane, Image]
    maxima: Mapping[Plane, Image]


def begin_volume(
    catalog: Catalog, place: VolumePlace, elements: Sequence[str], shape: tuple[int, int, int], slab_rows: int
) -> VolumeRecord | None:
    """Make room for the volumes of a job in place of what an earlier attempt left; one that is complete comes back.

    Args:
        catalog: where.
        place: in an existing series.
        elements: each gets a volume.
        shape: (z, y, x) of each.
        slab_rows: rows along y of a slab, the last may have fewer.

    Raises:
        NotFoundError: no such series.
        CatalogUnreachableError: Tiled does not answer.
    """
    with catalog_errors(f"beginning volume {place.job_id} of {place.series_key}"):
        parent = ensure_container(series_node(catalog, place.series_key), "volumes")
        begun = {
            "elements": list(elements),
            "units": UNITS,
            "dims": list(AXES),
            "state": "writing",
            "attempt": place.attempt,
            "begun_at": time.time(),
        }
        container = _claim(parent, place.job_id, begun)
        if container.metadata["state"] == "complete":
            return volume_record(place.series_key, container)
        for element in elements:
            metadata = {"element": element, "units": UNITS, "dims": list(AXES)}
            depth = max(1, min(shape[0], _CHUNK_BYTES // (4 * slab_rows * shape[2])))
            _make_array(container, element, shape, (depth, slab_rows, shape[2]), AXES, metadata)
        return None


def is_wanted(catalog: Catalog, place: VolumePlace) -> bool:
    """Whether this attempt still goes on: it was neither stopped nor taken away nor begun again.

    Raises:
        CatalogUnreachableError: Tiled does not answer.
    """
    with catalog_errors(f"looking at volume {place.job_id} of {place.series_key}"):
        try:
            metadata = _node(catalog, place).metadata
        except NotFoundError:
            return False
        return bool(metadata.get("attempt") == place.attempt and metadata["state"] == "writing")


def stop_writing(catalog: Catalog, place: VolumePlace) -> None:
    """Tell whoever writes slabs of this attempt to end; a complete volume stays one."""
    if is_wanted(catalog, place):
        with catalog_errors(f"stopping volume {place.job_id} of {place.series_key}"):
            merge_metadata(_node(catalog, place), {"state": "stopped"})


def write_slab(catalog: Catalog, place: VolumePlace, element: str, first_row: int, slab: Volume) -> None:
    """Write a slab (z, row, x) of an element's volume, cut as begun; doing it again changes nothing.

    Raises:
        NotFoundError: there is no room for it, or not any more.
        CatalogUnreachableError: Tiled does not answer.
    """
    with catalog_errors(f"writing rows of {element} from {first_row} of volume {place.job_id}"):
        array = _node(catalog, place, element)
        depth, rows = array.chunks[0][0], array.chunks[1][0]
        _write_blocks(
            array,
            {
                (block, first_row // rows, 0): slab[start : start + depth]
                for block, start in enumerate(range(0, slab.shape[0], depth))
            },
        )


def make_placed_stack(
    catalog: Catalog, place: VolumePlace, name: str, shape: tuple[int, int, int], batch: int, slab_rows: int
) -> None:
    """Room for maps in place (plane, y, x) beside an unfinished volume, gone when it is finished.

    Args:
        catalog: where.
        place: of the volume.
        name: of the stack.
        shape: of it.
        batch: planes that are written at once.
        slab_rows: rows that are read at once.
    """
    with catalog_errors(f"making room for {name} of volume {place.job_id}"):
        group = ensure_container(_node(catalog, place), _PLACED)
        metadata = {"units": STACK_UNITS}
        _make_array(group, name, shape, (batch, slab_rows, shape[2]), ("angle", "y", "x"), metadata)


def write_placed(catalog: Catalog, place: VolumePlace, name: str, first: int, maps: Stack) -> None:
    """A batch of planes of a placed stack, from ``first`` on.

    Raises:
        NotFoundError: there is no room for it, or not any more.
    """
    with catalog_errors(f"writing {name} of volume {place.job_id}"):
        array = _node(catalog, place, _PLACED, name)
        batch, rows = array.chunks[0][0], array.chunks[1][0]
        _write_blocks(
            array,
            {
                (first // batch, block, 0): maps[:, start : start + rows]
                for block, start in enumerate(range(0, maps.shape[1], rows))
            },
        )


def read_placed(catalog: Catalog, place: VolumePlace, name: str, planes: slice, rows: slice) -> Stack:
    """Some rows of some planes of a placed stack.

    Raises:
        NotFoundError: there is none, or not any more.
    """
    with catalog_errors(f"reading {name} of volume {place.job_id}"):
        values = _node(catalog, place, _PLACED, name).read((planes, rows, slice(None)))
        return np.array(values, np.float32)


def finish_volume(
    catalog: Catalog,
    place: VolumePlace,
    metadata: Mapping[str, Any],
    images: Mapping[str, VolumeImages],
    curves: Mapping[str, Sequence[ResolutionCurve]] | None = None,
) -> VolumeRecord:
    """Add what belongs to the slabs, and last of all call the volume complete.

    Args:
        catalog: where.
        place: begun, all slabs written.
        metadata: of the container; ``units``, ``elements`` and ``state`` are added.
        images: of each element.
        curves: of each element; elements without are left out.

    Raises:
        NotFoundError: it was taken away.
        CatalogError: another process has begun it again.
        CatalogUnreachableError: Tiled does not answer.
    """
    with catalog_errors(f"finishing volume {place.job_id} of {place.series_key}"):
        container = _node(catalog, place)
        for element, views in images.items():
            _write_images(container, element, views, container[element].shape)
            for curve in (curves or {}).get(element, ()):
                _write_curve(container, element, curve)
        if _PLACED in container:
            container[_PLACED].delete(recursive=True, external_only=False)
        if not is_wanted(catalog, place):
            raise CatalogError(f"volume {place.job_id} was stopped or begun again by another process")
        ended = {"state": "complete", "completed_at": time.time()}
        container.update_metadata({**metadata, **ended}, drop_revision=True)
        return volume_record(place.series_key, _node(catalog, place))


def delete_unfinished_volume(catalog: Catalog, series_key: str, job_id: str) -> None:
    """Remove what a job that did not end well left behind; a complete volume stays."""
    with catalog_errors(f"removing volume {job_id} of {series_key}"):
        series = series_node(catalog, series_key)
        if "volumes" not in series or job_id not in series["volumes"]:
            return
        container = series["volumes"][job_id]
        if container.metadata["state"] != "complete":
            container.delete(recursive=True, external_only=False)


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


def _node(catalog: Catalog, place: VolumePlace, *below: str) -> Any:
    try:
        return catalog.processed[place.series_key, "volumes", place.job_id, *below]
    except KeyError:
        at = "/".join((place.series_key, "volumes", place.job_id, *below))
        raise NotFoundError(f"there is no {at} in /processed: it was stopped and removed") from None


def _write_blocks(array: Any, blocks: Mapping[tuple[int, int, int], NDArray[np.float32]]) -> None:
    """Whole chunks. Tiled's ``patch`` would do it at once, but enlarges an array whose last chunk is a smaller one."""
    with LoggedPool(_PARALLEL_WRITES) as threads:
        written = [
            threads.submit(array.write_block, np.ascontiguousarray(values, np.float32), block)
            for block, values in blocks.items()
        ]
        for future in written:
            future.result()


def _make_array(
    parent: Any,
    key: str,
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    dims: tuple[str, str, str],
    metadata: Mapping[str, Any],
) -> None:
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(np.dtype(np.float32)),
        shape=shape,
        chunks=tuple(
            tuple(min(size, length - start) for start in range(0, length, size))
            for length, size in zip(shape, chunk, strict=True)
        ),
        dims=dims,
    )
    create_empty_array(parent, key, structure, metadata)


def _write_images(container: Any, element: str, images: VolumeImages, shape: tuple[int, ...]) -> None:
    for plane, axis in PLANES.items():
        dims = tuple(name for name in AXES if name != AXES[axis])
        described: dict[str, Any] = {"element": element, "units": UNITS, "dims": list(dims), "axis": AXES[axis]}
        views: dict[str, tuple[Image, dict[str, Any]]] = {
            slice_key(element, plane): (images.slices[plane], {"index": shape[axis] // 2}),
            maximum_key(element, plane): (images.maxima[plane], {"of": "maximum along the axis"}),
        }
        for key, (image, what) in views.items():
            pixels = np.ascontiguousarray(image, np.float32)
            create_array(container, key, pixels, dims, described | what)


def _write_curve(container: Any, element: str, curve: ResolutionCurve) -> None:
    """Every column an array of its own, on the frequencies beside it."""
    metadata = {"element": element, "source": curve.source, **curve.metadata}
    node = create_container(container, curve_key(element, curve.source), metadata)
    create_array(node, "frequency_per_nm", curve.frequency_per_nm, ("shell",), {"units": "1/nm"})
    for name, values in {"correlation": curve.values, **curve.thresholds}.items():
        create_array(node, name, values, ("shell",), {"x": "frequency_per_nm"})
