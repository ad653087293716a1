from dataclasses import replace

import numpy as np
import pytest

from models.run_schema import I0
from services.catalog.records import MalformedRunError, NotFoundError
from services.catalog.runs import earliest_run, finished_projections, read_projection


def test_a_run_is_read_as_it_was_measured(catalog, run_writer, projection_start):
    counts = np.random.default_rng(1).poisson(5.0, (4, 5, 1, 1024)).astype(np.uint32)
    uid = run_writer.write(projection_start, spectra=counts, time=123.0, scan_id=42)

    projection = read_projection(catalog, uid)

    np.testing.assert_array_equal(projection.spectra, counts)
    assert projection.spectra.dtype == np.uint32
    assert (projection.run_uid, projection.scan_id, projection.start_time) == (uid, 42, 123.0)
    assert projection.start == projection_start


def test_a_scan_cut_short_is_read_with_its_rows(catalog, run_writer, projection_start):
    projection = read_projection(catalog, run_writer.write(projection_start, rows=2))

    assert projection.spectra.shape[0] == projection.i0.shape[0] == 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"leave_out": (I0,)}, "has no i0"),
        ({"rows": 5}, "has 5 rows"),
        ({"spectra": np.zeros((4, 5, 1, 7), np.uint32)}, r"\(4, 5, 1, 7\) where \(4, 5, 1, 1024\)"),
    ],
)
def test_what_is_wrong_with_the_arrays_of_a_run_is_named(catalog, run_writer, projection_start, fault, told):
    uid = run_writer.write(projection_start, **fault)

    with pytest.raises(MalformedRunError, match=told) as malformed:
        read_projection(catalog, uid)
    assert uid in str(malformed.value)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"exit_status": None}, "no stop document"),
        ({"exit_status": "abort"}, "ended with 'abort'"),
        ({"change_start": {"elements": []}}, "elements is empty"),
        ({"change_start": {"raster": None}}, "malformed"),
        ({"change_start": {"angles_deg": [0.0]}}, "angles_deg has 1 entries for n_angles = 3"),
    ],
)
def test_what_is_wrong_with_the_documents_of_a_run_is_named(
    catalog, run_writer, projection_start, everything, fault, told
):
    uid = run_writer.write(projection_start, leave_out=everything, **fault)

    with pytest.raises(MalformedRunError, match=told) as malformed:
        read_projection(catalog, uid)
    assert uid in str(malformed.value)


def test_a_run_without_its_stream_and_an_unknown_one_are_told_apart(catalog, run_writer, projection_start, everything):
    with pytest.raises(MalformedRunError, match="no stream 'xrf'"):
        read_projection(catalog, run_writer.write(projection_start, leave_out=everything))
    with pytest.raises(NotFoundError, match="no run"):
        read_projection(catalog, "00000000-0000-4000-8000-000000000000")


def test_finished_projections_come_newest_first_and_only_whole_ones(catalog, run_writer, projection_start, everything):
    first = run_writer.write(projection_start, time=1.0, leave_out=everything)
    run_writer.write(projection_start, time=2.0, exit_status="abort", leave_out=everything)
    run_writer.write(projection_start, time=3.0, exit_status=None, leave_out=everything)
    run_writer.write(projection_start, time=4.0, change_start={"tiled_specs": ["Alignment"]}, leave_out=everything)
    last = run_writer.write(replace(projection_start, angle_index=1), time=5.0, leave_out=everything)

    assert [run.run_uid for run in finished_projections(catalog)] == [last, first]


def test_a_series_is_named_after_its_earliest_run(catalog, run_writer, projection_start, everything):
    first = run_writer.write(projection_start, scan_id=3, exit_status="abort", leave_out=everything)
    run_writer.write(projection_start, scan_id=4, leave_out=everything)

    assert earliest_run(catalog, projection_start.series_uid).run_uid == first
    with pytest.raises(NotFoundError, match="no run of series unknown"):
        earliest_run(catalog, "unknown")


def test_a_ptychography_run_does_not_name_the_series_it_was_taken_for(
    catalog, run_writer, projection_start, ptychography_metadata, everything
):
    run_writer.write(projection_start, scan_id=3, leave_out=everything, change_start=ptychography_metadata)
    first = run_writer.write(projection_start, scan_id=4, leave_out=everything)

    assert earliest_run(catalog, projection_start.series_uid).run_uid == first
    assert [run.run_uid for run in finished_projections(catalog)] == [first]
