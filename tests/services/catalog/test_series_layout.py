import threading
from dataclasses import replace

import numpy as np
import pytest

from services.catalog.products import find_series, list_series, read_stack
from services.catalog.records import MalformedRunError, NotFoundError
from services.catalog.series_layout import SeriesNode, ensure_fine_stacks, series_key
from services.catalog.writing import write_fine


@pytest.fixture
def start(catalog, run_writer, projection_start, everything):
    """Of the only run of a series of one element, which thereby is its earliest."""
    alone = replace(projection_start, elements=("Zn",))
    assert catalog is not None
    run_writer.write(alone, scan_id=7, leave_out=everything)
    return alone


def test_a_new_series_is_nan_everywhere_in_chunks_of_one_angle(catalog, products, start):
    series = products.open(start)
    record = find_series(catalog, series.key)

    assert record == find_series(catalog, series.series_uid)
    assert record.key == "7-ZnMn-32cyc-a-5e71e5aa"
    assert (record.done_angles, record.state, record.missing_angles) == ((), "measuring", (0, 1, 2))
    assert (record.pixel_size_nm("fitted"), record.pixel_size_nm("enhanced")) == (120.0, 60.0)
    assert {source for source, _ in series.stacks} == {
        "fitted",
        "fitted_sigma",
        "enhanced",
        "enhanced_sigma",
        "supported",
        "supported_sigma",
        "consistency",
        "denial",
    }
    for stack in series.stacks.values():
        assert np.isnan(stack.read()).all()
        assert stack.chunks[0] == (1, 1, 1)
        assert stack.dims == ("angle", "y", "x")
    assert series.stacks["enhanced", "Zn"].shape == (3, 8, 10)
    np.testing.assert_allclose(series.container["angles_deg"].read(), [-60.0, 0.0, 60.0])


def test_several_workers_create_one_series_together(catalog, products, start):
    opened = []
    threads = [
        threading.Thread(target=lambda worker=worker: opened.append(products.open(start, worker)))
        for worker in ("worker-1", "worker-2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [series.key for series in list_series(catalog)] == [series.key for series in opened[:1]]
    for series in opened:
        assert len(series.stacks) == 8
        assert all(np.isnan(stack.read()).all() for stack in series.stacks.values())


def test_a_series_half_made_by_a_dead_worker_is_completed_without_touching_what_is_done(catalog, products, start):
    series = products.open(start)
    products.write(series, start, "run", value=3.0)
    series.container["enhanced"].delete_contents("Zn", external_only=False)
    series.container["enhanced"].update_metadata({"layout": "filling"})
    series.container.delete_contents("consistency", recursive=True, external_only=False)
    series.container.delete_contents("angles_deg", external_only=False)

    again = products.open(start)

    assert len(again.stacks) == 8
    assert np.isnan(read_stack(catalog, series.key, "enhanced", "Zn")).all()
    np.testing.assert_array_equal(read_stack(catalog, series.key, "fitted", "Zn")[0], np.full((4, 5), 3.0))


def test_fine_partner_scans_stand_apart(catalog, products, start):
    series = products.open(start)
    fine = replace(start, purpose="fine", scan=replace(start.scan, shape=(8, 10), step_nm=60.0))
    write_fine(series, ensure_fine_stacks(series, fine, "worker-1"), 2, products.maps(fine, 4.0)[0])

    np.testing.assert_array_equal(series.container["fine", "Zn"].read()[2], np.full((8, 10), 4.0))
    assert find_series(catalog, series.key).done_angles == ()
    with pytest.raises(MalformedRunError, match="fine maps are"):
        ensure_fine_stacks(series, replace(fine, scan=replace(fine.scan, shape=(9, 10))), "worker-1")


def test_a_fine_scan_does_not_make_a_series(products, start):
    with pytest.raises(NotFoundError, match="fine scans wait"):
        products.open(replace(start, purpose="fine"))


def test_a_projection_of_another_kind_does_not_enter_a_series(projection_start):
    start = projection_start
    series = SeriesNode(
        "key", start.series_uid, start.elements, start.scan.shape, start.scan.step_nm, 2, start.n_angles, None, None, {}
    )
    series.check_fits(start)
    series.check_fits(replace(start, purpose="fine", scan=replace(start.scan, shape=(8, 10))))
    others = {
        r"elements is \('Mn',\)": replace(start, elements=("Mn",)),
        "n_angles is 4": replace(start, n_angles=4),
        r"shape is \(5, 5\)": replace(start, scan=replace(start.scan, shape=(5, 5))),
        "step_nm is 80": replace(start, scan=replace(start.scan, step_nm=80.0)),
    }
    for told, other in others.items():
        with pytest.raises(MalformedRunError, match=f"{told}.*start a new series"):
            series.check_fits(other)


def test_a_key_is_safe_in_an_address():
    assert series_key(12, "ünï/../cödé", "ab-cd-ef-12345") == "12-n-c-d-abcdef12"
    assert series_key(0, "///", "x") == "0-sample-x"
