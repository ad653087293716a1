"""Products in ``/processed`` for whoever reads them: which series there are, and their stacks."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tiled.queries import SpecsQuery

from services.catalog.angle_records import done_angle_indices
from services.catalog.client import Catalog, catalog_errors
from services.catalog.records import MapSource, NotFoundError, SeriesRecord
from services.catalog.series_layout import PROJECTIONS, SERIES_SPEC, find_series_container
from services.logs import LoggedPool

StackName = Literal[
    "fitted",
    "fitted_sigma",
    "enhanced",
    "enhanced_sigma",
    "supported",
    "supported_sigma",
    "consistency",
    "denial",
    "fine",
    "fine_sigma",
]

_SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PARALLEL_READS = 4


def list_series(catalog: Catalog) -> list[SeriesRecord]:
    """Every series, the newest first."""
    with catalog_errors("listing series"):
        containers = catalog.processed.search(SpecsQuery([SERIES_SPEC])).sort(("", -1)).values()
        return [_series_record(container) for container in containers]


def find_series(catalog: Catalog, key_or_uid: str) -> SeriesRecord:
    """One series by its key in ``/processed`` or by its series uid.

    Raises:
        NotFoundError: there is none.
    """
    with catalog_errors(f"looking for series {key_or_uid}"):
        return _series_record(series_container(catalog, key_or_uid))


def series_container(catalog: Catalog, key_or_uid: str) -> Any:
    """The Tiled container of a series, for the modules of this package.

    Raises:
        NotFoundError: there is none.
    """
    # What is no plain key must not reach the address: "a/b" or ".." would walk the tree.
    if _SAFE_KEY.fullmatch(key_or_uid):
        try:
            container = catalog.processed[key_or_uid]
        except KeyError:
            container = None
        if container is not None and SERIES_SPEC in [spec.name for spec in container.specs]:
            return container
    found = find_series_container(catalog, key_or_uid)
    if found is None:
        raise NotFoundError(
            f"no series {key_or_uid!r} in /processed: pass a key or a series uid that `subprobe status` lists"
        )
    return found


def read_stack(
    catalog: Catalog, key: str, source: MapSource, element: str, indices: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """Maps of one element in ug/cm^2, (angle, y, x) float32; NaN where an angle is not done.

    Args:
        catalog: where.
        key: of the series, or its uid.
        source: ``fitted`` or ``enhanced``.
        element: one of the series' elements.
        indices: of the angles to read; None reads all.

    Raises:
        NotFoundError: no such series or element.
    """
    return _read(catalog, key, source, element, indices)


def read_part(
    catalog: Catalog, key: str, source: MapSource, element: str, angles: slice, rows: slice
) -> NDArray[np.float32]:
    """Some rows of some angles of what `read_stack` reads, (angle, row, x), in one request.

    Raises:
        NotFoundError: no such series or element.
    """
    with catalog_errors(f"reading {source} {element} of series {key}"):
        return np.array(_stack(catalog, key, source, element).read((angles, rows, slice(None))), dtype=np.float32)


def read_sigma(
    catalog: Catalog, key: str, source: MapSource, element: str, indices: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """One standard deviation of what `read_stack` reads, same shape and unit."""
    return _read(catalog, key, "fitted_sigma" if source == "fitted" else "enhanced_sigma", element, indices)


def read_fine_scan(
    catalog: Catalog,
    key: str,
    product: Literal["fine", "fine_sigma"],
    element: str,
    indices: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Fitted maps of the fine partner scans, or one standard deviation of them: (angle, y, x) on their own raster."""
    return _read(catalog, key, product, element, indices)


def read_consistency(
    catalog: Catalog, key: str, element: str, indices: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """How well the enhanced maps explain the measurement: chi^2 per point, (angle, y, x) on the coarse grid."""
    return _read(catalog, key, "consistency", element, indices)


def read_trust(
    catalog: Catalog,
    key: str,
    product: Literal["supported", "supported_sigma", "denial"],
    element: str,
    indices: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """What `models.superres.trust.Trust` says of the enhanced maps: (angle, y, x), the fine grid but for ``denial``."""
    return _read(catalog, key, product, element, indices)


def read_lineage(catalog: Catalog, key: str, angle_index: int) -> dict[str, Any]:
    """Where one angle's maps come from: run, probe, enhancer, fit, times, software.

    Raises:
        NotFoundError: no such series, or the angle is not measured.
    """
    with catalog_errors(f"reading the lineage of angle {angle_index} of series {key}"):
        try:
            return dict(series_container(catalog, key)[PROJECTIONS, f"{angle_index:04d}"].metadata)
        except KeyError as error:
            raise NotFoundError(f"series {key} has no projection {angle_index}: it is not measured yet") from error


def _read(
    catalog: Catalog, key: str, source: StackName, element: str, indices: Sequence[int] | None
) -> NDArray[np.float32]:
    with catalog_errors(f"reading {source} {element} of series {key}"):
        stack = _stack(catalog, key, source, element)
        if indices is None:
            return np.array(stack.read(), dtype=np.float32)
        with LoggedPool(_PARALLEL_READS) as threads:
            planes = list(threads.map(lambda index: stack.read((slice(index, index + 1),)), indices))
        return np.concatenate(planes) if planes else np.empty((0, *stack.shape[1:]), dtype=np.float32)


def _stack(catalog: Catalog, key: str, source: StackName, element: str) -> Any:
    """Tiled's client of one stack: one request where all is well, and a closer look where it is not."""
    if _SAFE_KEY.fullmatch(key) and _SAFE_KEY.fullmatch(element):
        with suppress(KeyError):
            return catalog.processed[key, source, element]
    container = series_container(catalog, key)
    elements = container.metadata["elements"]
    if element not in elements:
        raise NotFoundError(f"series {key} has no element {element!r}: it has {', '.join(elements)}")
    try:
        return container[source, element]
    except KeyError as error:
        raise NotFoundError(f"series {key} has no {source} maps") from error


def _series_record(container: Any) -> SeriesRecord:
    metadata = dict(container.metadata)
    try:
        done = done_angle_indices(container)
    except KeyError:
        done = ()  # another worker is just creating it
    rows, points = metadata["shape"]
    angles = metadata["angles_deg"]
    return SeriesRecord(
        key=container.item["id"],
        series_uid=metadata["series_uid"],
        series_name=metadata["series_name"],
        sample_name=metadata["sample_name"],
        elements=tuple(metadata["elements"]),
        angles_deg=tuple(float("nan") if angle is None else float(angle) for angle in angles),
        done_angles=done,
        state="complete" if len(done) == len(angles) else "measuring",
        step_nm=float(metadata["step_nm"]),
        scale=int(metadata["scale"]),
        shape=(int(rows), int(points)),
        metadata=metadata,
    )
