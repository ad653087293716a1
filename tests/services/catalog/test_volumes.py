"""Volumes in the catalogue: whole or not there."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from tiled.structures.core import Spec

from services.catalog.client import Catalog
from services.catalog.records import CatalogError, NotFoundError, VolumeRecord
from services.catalog.volume_slabs import stored_volume
from services.catalog.volume_writing import (
    VolumeImages,
    VolumePlace,
    begin_volume,
    delete_unfinished_volume,
    finish_volume,
    is_wanted,
    make_placed_stack,
    read_placed,
    stop_writing,
    write_placed,
    write_slab,
)
from services.catalog.volumes import (
    PLANES,
    list_volumes,
    read_maximum,
    read_slice,
    read_volume,
    volume_path,
)

SERIES = "12-sample-0badcafe"
METADATA = {"centre_px": 4.5, "sigma_px": None, "parameters": {"window": "ramp"}}


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


SLAB_ROWS = 2


def write_half(catalog: Catalog, job_id: str, volumes: Mapping[str, NDArray[np.float32]], attempt: str) -> VolumePlace:
    """Begin a volume, and write the first slab of each element."""
    place = VolumePlace(SERIES, job_id, attempt)
    shape = next(iter(volumes.values())).shape
    assert begin_volume(catalog, place, list(volumes), (shape[0], shape[1], shape[2]), SLAB_ROWS) is None
    for element, volume in volumes.items():
        write_slab(catalog, place, element, 0, volume[:, :SLAB_ROWS])
    return place


def write_whole(catalog: Catalog, job_id: str, volumes: Mapping[str, NDArray[np.float32]]) -> VolumeRecord:
    """Write all of it, the last slab twice as after the loss of a worker."""
    place = write_half(catalog, job_id, volumes, "first")
    images = {}
    for element, volume in volumes.items():
        for _ in range(2):
            write_slab(catalog, place, element, SLAB_ROWS, volume[:, SLAB_ROWS:])
        images[element] = VolumeImages(
            {plane: volume.take(volume.shape[axis] // 2, axis) for plane, axis in PLANES.items()},
            {plane: volume.max(axis) for plane, axis in PLANES.items()},
        )
    return finish_volume(catalog, place, METADATA, images)


@pytest.mark.usefixtures("series")
def test_a_volume_reads_slab_by_slab(catalog: Catalog, volumes: dict[str, NDArray[np.float32]]) -> None:
    record = write_whole(catalog, "job-1", volumes)
    stored = stored_volume(catalog, record, "Mn")
    assert stored.shape == volumes["Mn"].shape
    two_slices = 2 * volumes["Mn"][0].nbytes
    slabs = list(stored.slabs(two_slices))
    assert [len(slab) for slab in slabs] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(slabs), volumes["Mn"])
    with pytest.raises(NotFoundError, match="has no element Au"):
        stored_volume(catalog, record, "Au")


def test_a_volume_reads_back_bit_for_bit_with_its_slices(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    record = write_whole(catalog, "job-1", volumes)
    assert record.elements == ("Zn", "Mn")
    assert (record.metadata["state"], record.metadata["units"]) == ("complete", "g/cm^3")
    assert record.metadata["parameters"] == {"window": "ramp"}
    assert record.metadata["sigma_px"] is None
    for element, volume in volumes.items():
        np.testing.assert_array_equal(read_volume(catalog, series, "job-1", element), volume)
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "xy"), volumes["Zn"][2])
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "xz"), volumes["Zn"][:, 1])
    np.testing.assert_array_equal(read_slice(catalog, series, "job-1", "Zn", "yz"), volumes["Zn"][:, :, 2])
    np.testing.assert_array_equal(read_maximum(catalog, series, "job-1", "Zn", "xz"), volumes["Zn"].max(axis=1))
    array = catalog.root[*volume_path(series, "job-1").split("/"), "Zn"]
    assert (array.dims, array.metadata["units"]) == (("z", "y", "x"), "g/cm^3")


def test_a_complete_volume_is_never_begun_again(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    write_whole(catalog, "job-1", {"Zn": volumes["Zn"]})
    there = begin_volume(catalog, VolumePlace(series, "job-1", "second"), ["Zn", "Mn"], (5, 3, 4), SLAB_ROWS)
    assert there is not None
    assert there.metadata["parameters"] == {"window": "ramp"}
    assert [record.elements for record in list_volumes(catalog, series)] == [("Zn",)]
    np.testing.assert_array_equal(read_volume(catalog, series, "job-1", "Zn"), volumes["Zn"])


def test_a_half_written_volume_is_no_volume_and_is_replaced(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    first = write_half(catalog, "job-1", volumes, "killed")
    assert list_volumes(catalog, series) == []
    with pytest.raises(NotFoundError, match="not complete"):
        read_volume(catalog, series, "job-1", "Zn")
    assert is_wanted(catalog, first)
    write_whole(catalog, "job-1", {"Mn": volumes["Mn"]})
    assert not is_wanted(catalog, first)
    assert [record.job_id for record in list_volumes(catalog, series)] == ["job-1"]
    np.testing.assert_array_equal(read_volume(catalog, series, "job-1", "Mn"), volumes["Mn"])


def test_a_stopped_attempt_is_told_so_and_cannot_be_finished(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    place = write_half(catalog, "job-1", volumes, "stopped")
    stop_writing(catalog, place)
    assert not is_wanted(catalog, place)
    with pytest.raises(CatalogError, match="stopped or begun again"):
        finish_volume(catalog, place, METADATA, {})
    delete_unfinished_volume(catalog, series, "job-1")
    with pytest.raises(NotFoundError, match="stopped and removed"):
        write_slab(catalog, place, "Zn", 0, volumes["Zn"][:, :SLAB_ROWS])
    assert "job-1" not in catalog.processed[series]["volumes"]


def test_placed_maps_stand_beside_a_volume_until_it_is_finished(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    place = write_half(catalog, "job-1", volumes, "first")
    maps = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 3, 4)
    make_placed_stack(catalog, place, "fitted_Zn", (5, 3, 4), 2, SLAB_ROWS)
    for first in (2, 0, 4):
        write_placed(catalog, place, "fitted_Zn", first, maps[first : first + 2])
    np.testing.assert_array_equal(read_placed(catalog, place, "fitted_Zn", slice(1, 4), slice(1, 3)), maps[1:4, 1:3])
    finish_volume(catalog, place, METADATA, {})
    assert sorted(catalog.processed[series]["volumes"]["job-1"]) == ["Mn", "Zn"]


def test_only_an_unfinished_volume_is_deleted(
    catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]
) -> None:
    delete_unfinished_volume(catalog, series, "never begun")
    write_half(catalog, "half", volumes, "first")
    write_whole(catalog, "whole", {"Zn": volumes["Zn"]})
    for job_id in ("half", "whole"):
        delete_unfinished_volume(catalog, series, job_id)
    assert list(catalog.processed[series]["volumes"]) == ["whole"]


def test_what_is_not_there_is_said_so(catalog: Catalog, series: str, volumes: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(NotFoundError, match="no series elsewhere"):
        list_volumes(catalog, "elsewhere")
    assert list_volumes(catalog, series) == []
    write_whole(catalog, "job-1", {"Zn": volumes["Zn"]})
    with pytest.raises(NotFoundError, match="no volume job-2"):
        read_volume(catalog, series, "job-2", "Zn")
    with pytest.raises(NotFoundError, match="no element Mn: it has Zn"):
        read_volume(catalog, series, "job-1", "Mn")
