"""Files that are not what was announced are told apart from a server that is away, and quickly."""

import time

import pytest
from hostile_files import SPOILS
from projection_runs import RunWriter

from services.catalog.records import MalformedRunError
from services.catalog.runs import read_projection

_QUICK = ("truncated", "of_another_type", "of_1e12_elements", "gone", "link_out_of_the_folder")
SOME = [spoil for spoil in SPOILS if spoil.__name__ in _QUICK]
"""Two seconds each; `tests/system/test_hostile_runs.py` has them all."""


@pytest.mark.parametrize("spoil", SOME, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_file_is_told_malformed_within_seconds(catalog, run_writer, tiled_server, projection_start, spoil):
    uid = run_writer.write(projection_start)
    spoil(tiled_server.raw_folder / f"{uid}-xrf.h5")

    began = time.monotonic()
    with pytest.raises(MalformedRunError, match="xrf_spectra") as malformed:
        read_projection(catalog, uid)
    assert uid in str(malformed.value)
    assert time.monotonic() - began < 15


def test_a_path_that_only_seems_to_lie_in_the_readable_folder_is_not_served(catalog, tiled_server, projection_start):
    outside = tiled_server.raw_folder / ".." / "outside"
    outside.mkdir()
    uid = RunWriter(catalog, outside).write(projection_start)

    with pytest.raises(MalformedRunError, match="leads out of the folders"):
        read_projection(catalog, uid)
