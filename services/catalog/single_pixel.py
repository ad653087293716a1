"""Element maps of structured-illumination runs in ``/processed``: who makes them, and where they stand.

One container a run, ``/processed/<scan_id>-<sample>-<first 8 of the run uid>``, with the spec ``SubprobeSinglePixel``.
The ``record`` in it is what workers claim. Its metadata's ``state`` is ``writing``, then ``complete``, set last of all;
or ``failed``, with an ``error``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.queries import Eq, SpecsQuery
from tiled.structures.core import Spec

from models.structured_schema import StructuredStart
from services.catalog.claims import Claims, Hold, Refusal, Standing
from services.catalog.client import (
    Catalog,
    catalog_errors,
    create_array,
    ensure_container,
    merge_metadata,
    unless_taken,
)
from services.catalog.provenance import software_versions
from services.catalog.records import CatalogError, NotFoundError
from services.catalog.runs import FinishedRun, access_tags_of_run
from services.catalog.series_layout import series_key
from services.catalog.stacks import UNITS

SINGLE_PIXEL_SPEC = "SubprobeSinglePixel"
RECORD = "record"
MAPS, SIGMA = "maps", "sigma"


@dataclass(frozen=True, eq=False)
class ProductArray:
    """An array to be stored.

    Attributes:
        group: that it belongs to, ``maps`` for example; empty: the run's container itself.
        name: its key.
        dims: names of its axes.
    """

    group: str
    name: str
    values: NDArray[Any]
    dims: tuple[str, ...]
    units: str


@dataclass(frozen=True)
class SinglePixelRecord:
    """Maps in the catalogue, as far as their metadata tells."""

    key: str
    run_uid: str
    sample_name: str
    elements: tuple[str, ...]
    state: str
    metadata: dict[str, Any]


@dataclass(frozen=True, eq=False)
class SinglePixelPlace:
    """A run's container that is ours to fill."""

    key: str
    container: Any
    hold: Hold


def claim_single_pixel(
    catalog: Catalog, run: FinishedRun, start: StructuredStart, claims: Claims
) -> SinglePixelPlace | Refusal:
    """Ask for the maps of a run; what is missing of their container is made.

    Raises:
        WornOutError: they were begun too often and never ended.
        CatalogError: something else has their key.
    """
    key = series_key(run.scan_id, start.sample_name, run.run_uid)
    with catalog_errors(f"claiming the maps of run {run.run_uid}"):
        tags = access_tags_of_run(catalog, run.run_uid)
        spec = [Spec(SINGLE_PIXEL_SPEC, version="1.0")]
        container = ensure_container(catalog.processed, key, _metadata(run, start), spec, tags)
        if container.metadata.get("run_uid") != run.run_uid:
            raise CatalogError(f"/processed/{key} is taken by something else: the maps of run {run.run_uid} need it")

        def standing(record: Mapping[str, Any]) -> Standing:
            if record["state"] == "complete":
                return Standing.SETTLED
            return Standing.HELD if record["state"] == "writing" else Standing.FREE

        hold = claims.ask(container, RECORD, {"run_uid": run.run_uid}, standing)
        if hold is Refusal.SETTLED and container.metadata["state"] != "complete":
            merge_metadata(container, {"state": "complete", "error": None})  # whoever completed it died before
    return hold if isinstance(hold, Refusal) else SinglePixelPlace(key, container, hold)


def write_arrays(place: SinglePixelPlace, arrays: Sequence[ProductArray]) -> None:
    """Put arrays in their places; doing it again writes the same over the same."""
    with catalog_errors(f"writing the maps of {place.key}"):
        groups = {"": place.container}
        for array in arrays:
            if array.group not in groups:
                groups[array.group] = ensure_container(place.container, array.group)
            _write(groups[array.group], array)


def complete_single_pixel(catalog: Catalog, place: SinglePixelPlace, about: Mapping[str, Any], claims: Claims) -> bool:
    """Call maps complete, once everything of them is written.

    Args:
        catalog: where.
        place: that was claimed.
        about: for whoever reads the maps: method, quality, seconds, software.
        claims: of the worker.

    Returns:
        False where another worker, which believed us dead, has taken it over: it writes the same and completes it.
    """
    with catalog_errors(f"completing {place.key}"):
        if not claims.keeps(place.hold):
            return False
        container = catalog.processed[place.key]
        merge_metadata(container, {**about, "error": None})
        merge_metadata(place.hold.record(), {"state": "complete", "error": None})
        merge_metadata(container, {"state": "complete"})
        return True


def fail_single_pixel(catalog: Catalog, run: FinishedRun, start: StructuredStart, error: str) -> None:
    """Note why a run gives no maps, where a person who looks for them sees it."""
    key = series_key(run.scan_id, start.sample_name, run.run_uid)
    with catalog_errors(f"noting the failure of {key}"):
        container = catalog.processed.get(key)
        if container is not None and container.metadata.get("run_uid") == run.run_uid and RECORD in container:
            merge_metadata(container[RECORD], {"state": "failed", "error": error})
            merge_metadata(container, {"state": "failed", "error": error})


def mapped_run_uids(catalog: Catalog) -> set[str]:
    """Runs whose maps are complete."""
    return {record.run_uid for record in list_single_pixel(catalog) if record.state == "complete"}


def list_single_pixel(catalog: Catalog) -> list[SinglePixelRecord]:
    """Every run's maps, complete or not, the newest first."""
    with catalog_errors("listing maps of structured-illumination runs"):
        found = catalog.processed.search(SpecsQuery([SINGLE_PIXEL_SPEC])).sort(("", -1)).items()
        return [_record(key, node.metadata) for key, node in found]


def find_single_pixel(catalog: Catalog, run_uid: str) -> SinglePixelRecord:
    """The maps of one run.

    Raises:
        NotFoundError: there are none.
    """
    with catalog_errors(f"looking for the maps of run {run_uid}"):
        found = catalog.processed.search(SpecsQuery([SINGLE_PIXEL_SPEC])).search(Eq("run_uid", run_uid))
        for key, node in found.items():
            return _record(key, node.metadata)
    raise NotFoundError(f"no maps of run {run_uid} in /processed: is it a structured-illumination run?")


def read_product(catalog: Catalog, key: str, *place: str) -> NDArray[Any]:
    """One array of a run's container: ``maps``, ``Co`` for example.

    Raises:
        NotFoundError: it is not there.
    """
    with catalog_errors(f"reading {'/'.join(place)} of {key}"):
        try:
            return np.asarray(catalog.processed[(key, *place)].read())
        except KeyError as error:
            raise NotFoundError(f"there is no {'/'.join(place)} in /processed/{key}") from error


def _metadata(run: FinishedRun, start: StructuredStart) -> dict[str, Any]:
    return {
        "run_uid": run.run_uid,
        "sample_name": start.sample_name,
        "elements": list(start.elements),
        "shape": list(start.shape),
        "pixel_size_nm": start.pixel_size_nm,
        "n_patterns": start.n_patterns,
        "sampling_ratio": start.sampling_ratio,
        "energy_kev": start.energy_kev,
        "grits": list(start.grits),
        "units": UNITS,
        "state": "writing",
        "software": software_versions(),
    }


def _record(key: str, metadata: Any) -> SinglePixelRecord:
    known: dict[str, Any] = dict(metadata)
    return SinglePixelRecord(
        key,
        str(known["run_uid"]),
        str(known["sample_name"]),
        tuple(known["elements"]),
        str(known["state"]),
        known,
    )


def _write(parent: Any, array: ProductArray) -> None:
    with unless_taken():
        create_array(parent, array.name, array.values, array.dims, {"units": array.units})
        return
    parent[array.name].write(array.values)
