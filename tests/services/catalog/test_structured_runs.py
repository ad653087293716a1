"""Structured-illumination runs read back from a real Tiled, whole or not at all."""

from typing import Any

import numpy as np
import pytest
from structured_runs import MeasuredStructure, measured_structure

from models.run_schema import I0, SPECTRA
from models.structured_schema import TXM_FRAMES
from services.catalog.records import MalformedRunError
from services.catalog.runs import FinishedRun, finished_structured_runs
from services.catalog.structured_runs import read_raw_structured


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> MeasuredStructure:
    """Six patterns of 8 x 8 pixels."""
    return measured_structure(tmp_path_factory.mktemp("raw"), n_patterns=6, shape=(8, 8), n_images=2)


def written(catalog, run_writer, measured: MeasuredStructure, streams: dict[str, Any]) -> FinishedRun:
    uid = run_writer.write_structured(measured.start, streams)
    return FinishedRun.from_metadata(uid, catalog.raw[uid].metadata)


def test_a_run_reads_back_as_measured(catalog, run_writer, measured):
    run = written(catalog, run_writer, measured, measured.streams)
    assert [one.run_uid for one in finished_structured_runs(catalog)] == [run.run_uid]
    assert run.is_structured
    assert run.takes_long
    raw = read_raw_structured(catalog, run)
    assert raw.start == measured.start
    for stream, arrays in measured.streams.items():
        np.testing.assert_array_equal(raw.frames[stream], arrays[TXM_FRAMES])
        np.testing.assert_array_equal(raw.i0[stream], arrays[I0])
    np.testing.assert_array_equal(raw.spectra, measured.streams["xrf"][SPECTRA])


def test_a_run_that_lacks_something_is_named_malformed(catalog, run_writer, measured):
    xrf = measured.streams["xrf"]
    wide = {TXM_FRAMES: np.ones((6, 8, 9), np.uint16)}
    for changed, named in (
        ({key: xrf[key] for key in (TXM_FRAMES, I0)}, "has no xrf_spectra, xrf_live_time_s, xrf_real_time_s in its"),
        ({key: values[:5] for key, values in xrf.items()}, "has 5 frames in its stream 'xrf' for 6 patterns"),
        (xrf | wide, r"txm_frames has shape \(6, 8, 9\) where \(6, 8, 8\) is needed"),
        (xrf, "has no stream 'patterns'"),
    ):
        with pytest.raises(MalformedRunError, match=named):
            read_raw_structured(catalog, written(catalog, run_writer, measured, {"xrf": changed}))


def test_a_start_document_that_cannot_be_believed_is_named(catalog, measured):
    run = FinishedRun("ab12", 0.0, 1.0, "success", measured.start.to_metadata() | {"n_patterns": 0})
    with pytest.raises(MalformedRunError, match=r"run ab12: .*n_patterns 0"):
        read_raw_structured(catalog, run)
