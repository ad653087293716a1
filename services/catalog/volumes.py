"""Reading volumes in ``/processed/<series>/volumes/<job id>``; without ``state: complete`` there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tiled.queries import Eq

from services.catalog.client import Catalog, catalog_errors
from services.catalog.records import MapSource, NotFoundError, VolumeRecord

UNITS = "g/cm^3"
AXES = ("z", "y", "x")

Volume = NDArray[np.float32]
Plane = Literal["xy", "xz", "yz"]
PLANES: dict[Plane, int] = {"xy": 0, "xz": 1, "yz": 2}
"""The axis of (z, y, x) that each plane leaves out."""

_CURVE = ("correlation", "half_bit", "one_bit", "one_seventh")


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


def list_volumes(catalog: Catalog, series_key: str) -> list[VolumeRecord]:
    """The complete volumes of a series, newest last.

    Raises:
        NotFoundError: no such series.
    """
    with catalog_errors(f"listing the volumes of {series_key}"):
        series = series_node(catalog, series_key)
        if "volumes" not in series:
            return []
        complete = series["volumes"].search(Eq("state", "complete"))
        return [volume_record(series_key, container) for container in complete.values()]


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
    return _read(catalog, series_key, job_id, element, slice_key(element, plane))


def read_maximum(catalog: Catalog, series_key: str, job_id: str, element: str, plane: Plane) -> NDArray[np.float32]:
    """The largest value along the axis that a plane leaves out; axes as of `read_slice`.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    return _read(catalog, series_key, job_id, element, maximum_key(element, plane))


def read_curves(catalog: Catalog, series_key: str, job_id: str, element: str) -> list[ResolutionCurve]:
    """The resolution of a volume, the fitted maps' first; empty where halves were not compared.

    Raises:
        NotFoundError: no such complete volume, or it lacks this element.
    """
    with catalog_errors(f"reading the resolution of volume {job_id} of {series_key}"):
        container = _complete(catalog, series_key, job_id, element)
        sources: tuple[MapSource, ...] = ("fitted", "enhanced")
        return [
            _curve(source, container[curve_key(element, source)])
            for source in sources
            if curve_key(element, source) in container
        ]


def series_node(catalog: Catalog, series_key: str) -> Any:
    """The Tiled container of a series, for the modules of this package.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return catalog.processed[series_key]
    except KeyError:
        raise NotFoundError(f"no series {series_key} in /processed") from None


def slice_key(element: str, plane: Plane) -> str:
    """Name of a middle slice beside the volumes."""
    return f"{element}_slice_{plane}"


def maximum_key(element: str, plane: Plane) -> str:
    """Name of a maximum projection beside the volumes."""
    return f"{element}_maximum_{plane}"


def curve_key(element: str, source: MapSource) -> str:
    """Name of a resolution curve beside the volumes."""
    return f"{element}_resolution_{source}"


def _read(catalog: Catalog, series_key: str, job_id: str, element: str, key: str) -> NDArray[np.float32]:
    with catalog_errors(f"reading volume {job_id} of {series_key}"):
        return np.asarray(_complete(catalog, series_key, job_id, element)[key].read(), np.float32)


def _complete(catalog: Catalog, series_key: str, job_id: str, element: str) -> Any:
    try:
        container = catalog.processed[series_key, "volumes", job_id]
    except KeyError:
        raise NotFoundError(f"series {series_key} has no volume {job_id}: it was pruned, or never finished") from None
    record = volume_record(series_key, container)
    if record.metadata["state"] != "complete":
        raise NotFoundError(f"volume {job_id} of {series_key} is not complete")
    if element not in record.elements:
        raise NotFoundError(f"volume {job_id} has no element {element}: it has {', '.join(record.elements)}")
    return container


def _curve(source: MapSource, node: Any) -> ResolutionCurve:
    frequency, values, *thresholds = (np.asarray(node[name].read()) for name in ("frequency_per_nm", *_CURVE))
    return ResolutionCurve(source, frequency, values, dict(zip(_CURVE[1:], thresholds, strict=True)), node.metadata)


def volume_record(series_key: str, container: Any) -> VolumeRecord:
    """What there is at a volume's place, complete or not."""
    metadata = dict(container.metadata)
    return VolumeRecord(series_key, str(container.item["id"]), tuple(metadata["elements"]), metadata)
