"""Recorded pairs come from a file as they were written, or with a word about what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from training_files import write_recordings

from models.superres.pairs.recording import FineScan, Recording
from services.offline.hdf5 import InputFileError
from services.training.recorded import read_recordings
from services.training.recorded import write_recordings as write_pairs


def test_recordings_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = write_recordings(tmp_path / "pairs.h5", ("zinc", "iron"))
    iron, zinc = read_recordings(path)
    with h5py.File(path) as file:
        np.testing.assert_allclose(zinc.coarse, file["pairs/zinc/coarse"], rtol=1e-6)
        np.testing.assert_allclose(iron.fine, file["pairs/iron/fine"], rtol=1e-6)
    assert (zinc.scale, zinc.mask.dtype, zinc.kernel.shape) == (4, np.bool_, (6, 6))


def _without(name: str) -> Callable[[Any], None]:
    return lambda group: group.__delitem__(name)


def _with(name: str, values: Any) -> Callable[[Any], None]:
    def change(group: Any) -> None:
        del group[name]
        group[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without("kernel"), r"/pairs/zinc: there is no dataset kernel; the file holds coarse"),
        (_with("fine", np.ones((48, 55))), r"/pairs/zinc: fine has shape \(48, 55\): \(48, 56\) is needed"),
        (_with("coarse", np.full((12, 14), np.nan)), "/pairs/zinc: coarse is not finite"),
        (_with("kernel", np.eye(5) / 5), "an even side is needed at scale 4"),
        (lambda group: group.attrs.__delitem__("scale"), "the attribute scale is missing"),
        (lambda group: group.attrs.__setitem__("scale", 2.5), r"the attribute scale is 2\.5"),
    ],
)
def test_an_error_names_file_and_pair(tmp_path: Path, change: Callable[[Any], None], words: str) -> None:
    path = write_recordings(tmp_path / "pairs.h5")
    with h5py.File(path, "a") as file:
        change(file["pairs/zinc"])
    with pytest.raises(InputFileError, match=r"pairs\.h5: .*" + words):
        read_recordings(path)


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("maps")
    with pytest.raises(InputFileError, match=r"there is no group /pairs .* it holds maps"):
        read_recordings(tmp_path / "other.h5")


def _recording(scan: FineScan | None) -> Recording:
    rng = np.random.default_rng(0)
    coarse = 1 + rng.random((8, 9)).astype(np.float32)
    mask = rng.random((8, 9)) > 0.2
    fine = 1 + rng.random((16, 18) if scan else (32, 36)).astype(np.float32)
    return Recording(coarse, 0.01 * coarse, mask, fine, np.full((6, 6), 1 / 36, np.float32), 4, scan)


@pytest.fixture
def fine_scan() -> FineScan:
    rng = np.random.default_rng(1)
    plane = rng.random((16, 18)).astype(np.float32)
    return FineScan(plane, plane > 0.3, np.full((4, 4), 1 / 16, np.float32), 2)


def test_what_is_written_is_read_back_each_part_by_itself(tmp_path: Path, fine_scan: FineScan) -> None:
    path = tmp_path / "pairs.h5"
    written = {"pairs": {"a": _recording(fine_scan), "b": _recording(None)}, "held_out": {"c": _recording(fine_scan)}}
    write_pairs(path, written, {"series": "of a test"})
    for part in ("pairs", "held_out"):
        for read, expected in zip(read_recordings(path, part), written[part].values(), strict=True):
            assert (read.fine_scan is None) == (expected.fine_scan is None)
            for name in ("coarse", "variance", "mask", "fine", "kernel"):
                np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))
            if read.fine_scan is not None:
                assert read.fine_scan.scale == 2
                for name in ("variance", "mask", "kernel"):
                    np.testing.assert_array_equal(getattr(read.fine_scan, name), getattr(fine_scan, name))


@pytest.mark.parametrize("name", ["fine_kernel", "fine_variance", "fine_mask"])
def test_half_a_fine_scan_is_not_taken_for_the_truth(tmp_path: Path, fine_scan: FineScan, name: str) -> None:
    path = tmp_path / "pairs.h5"
    write_pairs(path, {"pairs": {"a": _recording(fine_scan)}})
    with h5py.File(path, "a") as file:
        del file[f"pairs/a/{name}"]
    with pytest.raises(InputFileError, match=rf"/pairs/a: there is no dataset {name}"):
        read_recordings(path)
