"""What can be wrong with a detector's file, after it was announced: each function spoils the spectra of one."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from models.run_schema import SPECTRA

Spoil = Callable[[Path], None]
OTHER_FILE = Path("/etc/passwd")


def no_hdf5(path: Path) -> None:
    """Something else altogether."""
    path.write_bytes(b"no HDF5 at all " * 100)


def gone(path: Path) -> None:
    """Not there."""
    path.unlink()


def truncated(path: Path) -> None:
    """Cut off in the middle of its data."""
    os.truncate(path, path.stat().st_size // 3)


def link_out_of_the_folder(path: Path) -> None:
    """A whole file, but somewhere else."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _replaced(make: Callable[[h5py.File], None]) -> Spoil:
    def spoil(path: Path) -> None:
        path.unlink()
        with h5py.File(path, "w", libver="latest") as file:
            make(file)

    spoil.__name__ = make.__name__.strip("_")
    return spoil


def _absent(_file: h5py.File) -> None: ...


def _of_another_type(file: h5py.File) -> None:
    file[SPECTRA] = np.zeros((4, 5, 1, 1024), np.float32)


def _of_text(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, data=["many", "counts"], dtype=h5py.string_dtype())


def _without_rows(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, (0, 5, 1, 1024), np.uint32, maxshape=(None, 5, 1, 1024))


def _with_fewer_rows(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, (2, 5, 1, 1024), np.uint32, chunks=(1, 5, 1, 1024))


def _of_1e12_elements(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, (10**4, 10**4, 100, 100), np.uint32, chunks=(1, 5, 1, 100))


def _of_1e12_rows(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, (10**12, 5, 1, 1024), np.uint32, chunks=(1, 5, 1, 1024))


def _bomb_in_one_chunk(file: h5py.File) -> None:
    # 3.9 GB of one chunk that was never written; ten of them are what a reader would unpack for ten rows.
    chunk = (47_000, 5, 1, 1024)
    file.create_dataset(SPECTRA, (10 * 47_000, 5, 1, 1024), np.uint32, chunks=chunk, compression="gzip")


def _link_to_another_file(file: h5py.File) -> None:
    other = Path(file.filename).with_suffix(".other.h5")
    with h5py.File(other, "w") as elsewhere:
        elsewhere[SPECTRA] = np.zeros((4, 5, 1, 1024), np.uint32)
    file[SPECTRA] = h5py.ExternalLink(str(other), SPECTRA)


def _link_to_no_hdf5(file: h5py.File) -> None:
    file[SPECTRA] = h5py.ExternalLink(str(OTHER_FILE), SPECTRA)


def _bytes_of_another_file(file: h5py.File) -> None:
    file.create_dataset(SPECTRA, (4, 5, 1, 1024), np.uint32, external=[(str(OTHER_FILE), 0, 4 * 5 * 1024 * 4)])


def _loop_of_links(file: h5py.File) -> None:
    file[SPECTRA] = h5py.SoftLink("/other")
    file["other"] = h5py.SoftLink(f"/{SPECTRA}")


def _group(file: h5py.File) -> None:
    file.create_group(SPECTRA)


SPOILS: tuple[Spoil, ...] = (
    no_hdf5,
    gone,
    truncated,
    link_out_of_the_folder,
    *map(
        _replaced,
        (
            _absent,
            _of_another_type,
            _of_text,
            _without_rows,
            _with_fewer_rows,
            _of_1e12_elements,
            _of_1e12_rows,
            _bomb_in_one_chunk,
            _link_to_another_file,
            _link_to_no_hdf5,
            _bytes_of_another_file,
            _loop_of_links,
            _group,
        ),
    ),
)
