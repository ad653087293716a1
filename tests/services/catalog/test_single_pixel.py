"""Maps of structured-illumination runs: one worker makes them, doing it twice changes nothing, state comes last."""

import numpy as np
import pytest
from structured_runs import measured_structure

from services.catalog.backlog import Backlog
from services.catalog.claims import Claims, Refusal
from services.catalog.records import CatalogError, NotFoundError
from services.catalog.runs import FinishedRun
from services.catalog.single_pixel import (
    ProductArray,
    claim_single_pixel,
    complete_single_pixel,
    fail_single_pixel,
    find_single_pixel,
    list_single_pixel,
    read_product,
    write_arrays,
)

_MAPS = [
    ProductArray("maps", "Co", np.arange(6, dtype=np.float32).reshape(2, 3), ("y", "x"), "ug/cm^2"),
    ProductArray("", "txm", np.ones((2, 3), np.float32), ("y", "x"), "optical depth"),
]


@pytest.fixture
def claims():
    """Of two workers."""
    pair = Claims("one", lease_s=30.0), Claims("other", lease_s=30.0)
    yield pair
    for one in pair:
        one.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory):
    return measured_structure(tmp_path_factory.mktemp("raw"), n_patterns=1, shape=(4, 4), n_images=1)


@pytest.fixture
def run(catalog, run_writer, measured):
    """A run whose documents alone matter."""
    uid = run_writer.write_structured(measured.start, {"dark": measured.streams["dark"]})
    return FinishedRun.from_metadata(uid, catalog.raw[uid].metadata)


def test_maps_are_made_once_and_read_back(catalog, run, measured, claims):
    place = claim_single_pixel(catalog, run, measured.start, claims[0])
    assert claim_single_pixel(catalog, run, measured.start, claims[1]) is Refusal.ELSEWHERE
    assert [record.state for record in list_single_pixel(catalog)] == ["writing"]
    assert not Backlog(catalog).is_settled(run)
    write_arrays(place, _MAPS)
    assert complete_single_pixel(catalog, place, {"method": "guided"}, claims[0])

    record = find_single_pixel(catalog, run.run_uid)
    assert (record.key, record.state, record.metadata["method"]) == (
        f"8-mixed-cathode-{run.run_uid[:8]}",
        "complete",
        "guided",
    )
    assert record.elements == ("Mn", "Co", "Ni")
    np.testing.assert_array_equal(read_product(catalog, record.key, "maps", "Co"), _MAPS[0].values)
    np.testing.assert_array_equal(read_product(catalog, record.key, "txm"), _MAPS[1].values)
    assert Backlog(catalog).is_settled(run)
    assert claim_single_pixel(catalog, run, measured.start, claims[1]) is Refusal.SETTLED
    with pytest.raises(NotFoundError, match="there is no maps/Fe"):
        read_product(catalog, record.key, "maps", "Fe")


def test_writing_again_writes_the_same_over_the_same(catalog, run, measured, claims):
    place = claim_single_pixel(catalog, run, measured.start, claims[0])
    write_arrays(place, _MAPS)
    again = claim_single_pixel(catalog, run, measured.start, claims[0])  # the same worker, restarted
    write_arrays(again, _MAPS)
    assert complete_single_pixel(catalog, again, {}, claims[0])
    np.testing.assert_array_equal(read_product(catalog, again.key, "maps", "Co"), _MAPS[0].values)


def test_who_was_taken_for_dead_completes_nothing(catalog, run, measured, claims):
    slow = claim_single_pixel(catalog, run, measured.start, claims[0])
    claims[0].give_back(slow.hold)
    claim_single_pixel(catalog, run, measured.start, claims[1])
    assert not complete_single_pixel(catalog, slow, {"method": "late"}, claims[0])
    assert find_single_pixel(catalog, run.run_uid).state == "writing"


def test_a_failure_is_told_and_may_be_tried_again(catalog, run, measured, claims):
    fail_single_pixel(catalog, run, measured.start, "before anything was claimed")
    assert list_single_pixel(catalog) == []
    claim_single_pixel(catalog, run, measured.start, claims[0])
    fail_single_pixel(catalog, run, measured.start, "no light")
    record = find_single_pixel(catalog, run.run_uid)
    assert (record.state, record.metadata["error"]) == ("failed", "no light")
    place = claim_single_pixel(catalog, run, measured.start, claims[1])
    assert complete_single_pixel(catalog, place, {}, claims[1])
    assert "error" not in find_single_pixel(catalog, run.run_uid).metadata


def test_a_summary_that_its_worker_died_before_is_made_up_for(catalog, run, measured, claims):
    place = claim_single_pixel(catalog, run, measured.start, claims[0])
    complete_single_pixel(catalog, place, {}, claims[0])
    place.container.update_metadata({**place.container.metadata, "state": "writing"})
    assert claim_single_pixel(catalog, run, measured.start, claims[1]) is Refusal.SETTLED
    assert find_single_pixel(catalog, run.run_uid).state == "complete"


def test_a_key_that_something_else_has_is_told(catalog, run, measured, claims):
    catalog.processed.create_container(f"8-mixed-cathode-{run.run_uid[:8]}")
    with pytest.raises(CatalogError, match="taken by something else"):
        claim_single_pixel(catalog, run, measured.start, claims[0])
