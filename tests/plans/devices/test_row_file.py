"""A growing file: readable from another process at every moment, announced exactly once."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from plans.devices.row_file import RowArray, RowFile

ARRAYS = (RowArray("a", "<u4", (3, 2), ("x", "channel"), "counts"), RowArray("b", "<f8", (3,), ("x",), "um"))
READER = """
import sys, h5py
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    print(file["/entry/a"].shape, file["/entry/a"][-1].sum(), file["/entry/b"].shape, file["/entry/b"].attrs["units"])
"""


@pytest.fixture
def row_file(tmp_path: Path) -> RowFile:
    """Two rows on disk, the file still open."""
    file = RowFile(tmp_path / "a folder" / "rows.h5", ARRAYS, 4)
    for row in range(2):
        file.append({"a": np.full((3, 2), row + 1), "b": np.zeros(3)})
    return file


def test_rows_on_disk_can_be_read_while_the_file_grows(row_file: RowFile) -> None:
    command = [sys.executable, "-c", READER, str(row_file.path)]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read.stdout.split("\n")[0] == "(2, 3, 2) 12 (2, 3) um"
    row_file.append({"a": np.zeros((3, 2)), "b": np.zeros(3)})
    row_file.close()


def test_each_row_is_announced_once(row_file: RowFile) -> None:
    first, again = list(row_file.announce(1)), list(row_file.announce(1))
    rest = list(row_file.announce(2))
    row_file.close()
    assert [name for name, _ in first] == ["stream_resource"] * 2 + ["stream_datum"] * 2
    assert again == []
    assert [datum["indices"] for _, datum in rest] == [{"start": 1, "stop": 2}] * 2
    assert first[0][1]["uri"] == f"file://localhost{row_file.path}"


def test_a_file_that_is_there_is_never_overwritten(row_file: RowFile) -> None:
    row_file.close()
    with pytest.raises(FileExistsError):
        RowFile(row_file.path, ARRAYS, 4)


def test_one_number_a_row_is_a_plain_column(tmp_path: Path) -> None:
    """TiledWriter takes rows of shape (1,) for single numbers, and chunks of two axes for a mistake then."""
    array = RowArray("i0", "<f8", (1,), ("x",), "counts")
    assert array.data_key("sim://scaler")["shape"] == array.data_key("sim://scaler")["dims"] == []
    file = RowFile(tmp_path / "rows.h5", (array,), 3)
    for row in range(3):
        file.append({"i0": np.array([10.0 * row])})
    (resource, _) = file.announce(3)
    file.close()
    assert resource[1]["parameters"]["chunk_shape"] == [3]
    with h5py.File(file.path) as written:
        np.testing.assert_array_equal(written["/entry/i0"][:], [0.0, 10.0, 20.0])
