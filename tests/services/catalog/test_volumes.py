"""Volumes in the catalogue: whole or not there."""

import numpy as np
import pytest
from numpy.typing import NDArray
from tiled.structures.core import Spec

from services.catalog.client import Catalog
from services.catalog.records import NotFoundError
from services.catalog.volume_slabs import stored_volume
from services.catalog.volumes import (
    delete_unfinished_volume,
    list_volumes,
    read_maximum,
    read_slice,
    read_volume,
    volume_path,
    write_volumes,
)

SERIES = "12-sample-0badcafe"
METADATA = {"centre_px": 4.5, "parameters": {"window": "ramp"}}


@pytest.fixture
def series(catalog: Catalog) -> str:
    """Key of a series without volumes."""
    catalog.processed.create_container(SERIES, specs=[Spec("SubprobeSeries", version="1.0")])
    return SERIES


@pytest.fixture
def volumes() -> dict[str, NDArray[np.float32]]:
    """Two elements on one grid whose sides differ."""
    rng = np.random.default_rng(1)
    return {element: rng.normal(size=(5, 3, 4)).astype(np.float32) for element in ("Zn", "Mn")}


def test_a_volume_reads_slab_by_slab(catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]) -> None:
    record = write_volumes(catalog, series, "job-1", volumes, METADATA)
    stored = stored_volume(catalog, record, "Mn")
    assert stored.shape == volumes["Mn"].shape
    two_slices = 2 * volumes["Mn"][0].nbytes
    slabs = list(stored.slabs(two_slices))
    assert [len(slab) for slab in slabs] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(slabs), volumes["Mn"])
    with pytest.raises(NotFoundError, match="has no element Au"):
        stored_volume(catalog, record, "Au")


class PowerCutError(Exception):
    """Ends a writer half-way."""


def cut(_written: float) -> None:
    raise PowerCutError


def test_a_volume_reads_back_bit_for_bit_with_its_slices(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    told: list[float] = []
    record = write_volumes(catalog, series, "job-1", volumes, METADATA, told.append)
    assert record.elements == ("Zn", "Mn")
    assert (record.metadata["state"], record.metadata["units"]) == ("complete", "g/cm^3")
    assert record.metadata["parameters"] == {"window": "ramp"}
    assert told == [0.5, 1.0]
    for element, volume in volumes.items():
        np.testing.assert_array_equal(read_volume(catalog, series, "job-1", element), volume)
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "xy"), volumes["Zn"][2])
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "xz"), volumes["Zn"][:, 1])
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "yz"), volumes["Zn"][:, :, 2])
    np.testing.assert_array_equal(read_maximum(catalog, series, "job-1", "Zn", "xz"), volumes["Zn"].max(axis=1))
    array = catalog.root[*volume_path(series, "job-1").split("/"), "Zn"]
    assert (array.dims, array.metadata["units"]) == (("z", "y", "x"), "g/cm^3")


def test_writing_again_changes_nothing(catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]) -> None:
    write_volumes(catalog, series, "job-1", {"Zn": volumes["Zn"]}, METADATA)
    write_volumes(catalog, series, "job-1", {"Zn": volumes["Zn"] + 1, "Mn": volumes["Mn"]}, {})
    assert [record.elements for record in list_volumes(catalog, series)] == [("Zn",)]
    np.testing.assert_array_equal(read_volume(catalog, series, "job-1", "Zn"), volumes["Zn"])


def test_a_half_written_volume_is_no_volume_and_is_replaced(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    with pytest.raises(PowerCutError):
        write_volumes(catalog, series, "job-1", volumes, METADATA, cut)
    assert list_volumes(catalog, series) == []
    with pytest.raises(NotFoundError, match="not complete"):
        read_volume(catalog, series, "job-1", "Zn")
    write_volumes(catalog, series, "job-1", {"Mn": volumes["Mn"]}, METADATA)
    assert [record.job_id for record in list_volumes(catalog, series)] == ["job-1"]
    np.testing.assert_array_equal(read_volume(catalog, series, "job-1", "Mn"), volumes["Mn"])


def test_only_an_unfinished_volume_is_deleted(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    delete_unfinished_volume(catalog, series, "never begun")
    with pytest.raises(PowerCutError):
        write_volumes(catalog, series, "half", volumes, METADATA, cut)
    write_volumes(catalog, series, "whole", {"Zn": volumes["Zn"]}, METADATA)
    for job_id in ("half", "whole"):
        delete_unfinished_volume(catalog, series, job_id)
    assert list(catalog.processed[series]["volumes"]) == ["whole"]


def test_what_is_not_there_is_said_so(catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(NotFoundError, match="no series elsewhere"):
        list_volumes(catalog, "elsewhere")
    assert list_volumes(catalog, series) == []
    write_volumes(catalog, series, "job-1", {"Zn": volumes["Zn"]}, METADATA)
    with pytest.raises(NotFoundError, match="no volume job-2"):
        read_volume(catalog, series, "job-2", "Zn")
    with pytest.raises(NotFoundError, match="no element Mn: it has Zn"):
        read_volume(catalog, series, "job-1", "Mn")
