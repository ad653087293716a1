from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from services.catalog.products import find_series, list_series, read_consistency, read_lineage, read_sigma, read_stack
from services.catalog.records import NotFoundError


@pytest.fixture(scope="module")
def start(projection_start, run_writer, everything):
    """Of a series of two elements and three angles."""
    ours = replace(projection_start, series_uid=str(uuid4()))
    run_writer.write(ours, leave_out=everything, exit_status="abort")
    return ours


@pytest.fixture(scope="module")
def series(products, start):
    """That series, with its angles 2 and 0 done in this order."""
    opened = products.open(start)
    for index in (2, 0):
        products.write(opened, replace(start, angle_index=index), f"run-{index}", value=10.0 + index)
    return opened


def test_angles_done_in_any_order_stand_where_they_belong(tiled_connection, series):
    stack = read_stack(tiled_connection, series.key, "fitted", "Zn")

    assert np.isnan(stack[1]).all()
    np.testing.assert_array_equal(stack[[0, 2], 0, 0], [10.0, 12.0])
    assert next(record for record in list_series(tiled_connection) if record.key == series.key).done_angles == (0, 2)
    assert find_series(tiled_connection, series.key).metadata["n_done"] == 2


def test_some_angles_are_read_without_the_others(tiled_connection, series):
    chosen = read_stack(tiled_connection, series.series_uid, "enhanced", "Mn", indices=[2, 0])

    np.testing.assert_array_equal(chosen[:, 3, 4], [12.0, 10.0])
    assert chosen.shape == (2, 8, 10)


def test_sigma_and_consistency_are_read_beside_the_maps(tiled_connection, series):
    np.testing.assert_array_equal(
        read_sigma(tiled_connection, series.key, "enhanced", "Mn", [2]), np.full((1, 8, 10), 0.5)
    )
    np.testing.assert_array_equal(read_sigma(tiled_connection, series.key, "fitted", "Zn", [0]), np.ones((1, 4, 5)))
    np.testing.assert_array_equal(read_consistency(tiled_connection, series.key, "Zn", [0]), np.ones((1, 4, 5)))


def test_a_series_is_complete_when_every_angle_is(tiled_connection, products, start, series):
    last = replace(start, angle_index=1)
    products.write(series, last, "run-1")

    record = find_series(tiled_connection, series.key)
    assert (record.state, record.metadata["state"], record.missing_angles) == ("complete", "complete", ())


def test_a_person_finds_where_a_map_comes_from(tiled_connection, series):
    assert read_lineage(tiled_connection, series.key, 2)["run_uid"] == "run-2"


@pytest.mark.parametrize("key", ["unknown", "..", "../raw", "a/b", "", "%2e%2e", "x" * 3000])
def test_an_unknown_or_odd_series_is_not_found(tiled_connection, key):
    with pytest.raises(NotFoundError, match="no series"):
        find_series(tiled_connection, key)


def test_an_unknown_element_or_angle_is_not_found(tiled_connection, series):
    with pytest.raises(NotFoundError, match="it has Zn, Mn"):
        read_stack(tiled_connection, series.key, "fitted", "Cu")
    with pytest.raises(NotFoundError, match="no projection 7"):
        read_lineage(tiled_connection, series.key, 7)
