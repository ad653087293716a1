"""Reading HDF5 files that others wrote: every surprise becomes one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from services.errors import SubprobeError


class InputFileError(SubprobeError):
    """A file does not hold what is needed."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, read-only; errors of h5py and of checks inside become `InputFileError` with the file's name."""
    if not path.is_file():
        raise InputFileError(f"there is no file {path}")
    try:
        if not h5py.is_hdf5(path):
            raise InputFileError(f"{path} is no HDF5 file")
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # h5py has the last two for broken files
        raise InputFileError(f"{path}: {error}") from error


def read_numbers(file: Any, name: str) -> NDArray[Any]:
    """A dataset of numbers.

    Raises:
        ValueError: there is none of that name, or it holds something else.
    """
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"there is no dataset {name}; the file holds {', '.join(sorted(file)) or 'nothing'}")
    if found.dtype.kind not in "biuf" or found.shape is None:
        raise ValueError(f"{name} has type {found.dtype}: real numbers are needed")
    return np.asarray(found[()])


def read_number(name: str, *places: Any) -> float | None:
    """The attribute of that name of the first place that has it; None where none does.

    Raises:
        ValueError: it is no positive number.
    """
    for place in places:
        if name in place.attrs:
            value = np.asarray(place.attrs[name])
            if value.size != 1 or value.dtype.kind not in "iuf" or not 0 < float(value.item()) < np.inf:
                raise ValueError(f"the attribute {name} of {place.name} is {place.attrs[name]}: one positive number")
            return float(value.item())
    return None


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits.

    Raises:
        InputFileError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
