"""Probes in .npz archives: our own, ptychodus products, tike, and whoever names a pixel with its unit."""

import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.offline.found_probe import (
    LARGEST_BYTES,
    FoundProbe,
    modes_of,
    named_energy_kev,
    named_pixel,
    one_number,
)
from services.offline.hdf5 import InputFileError

# What zip files and numpy's headers, which it parses as Python, raise when bytes are missing or changed.
_BROKEN = (
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    tokenize.TokenError,
)


@contextmanager
def opened_npz(path: Path) -> Iterator[Any]:
    """The archive, never unpickled; errors of numpy and of checks inside become `InputFileError` with its name."""
    if not path.is_file():
        raise InputFileError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise InputFileError(f"{path} is no .npz archive, or is cut short")
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputFileError(f"{path}: {error}") from error


def _reader(key: str) -> Callable[[Any], FoundProbe]:
    def read(archive: Any) -> FoundProbe:
        def number(name: str) -> float | None:
            return one_number(_values(archive, name), name) if name in archive else None

        modes, left_out = modes_of(_values(archive, key), key)
        description = str(_values(archive, "description")) if "description" in archive else ""
        moved_nm = number("moved_nm") or 0.0
        return FoundProbe(key, modes, named_pixel(number), named_energy_kev(number), left_out, description, moved_nm)

    return read


def _values(archive: Any, key: str) -> NDArray[Any]:
    member = f"{key}.npy" if f"{key}.npy" in archive.zip.namelist() else key
    if archive.zip.getinfo(member).file_size > LARGEST_BYTES:
        raise ValueError(f"{key} is larger than {LARGEST_BYTES >> 30} GiB: no probe is")
    try:
        return np.asarray(archive[key])
    except _BROKEN as error:
        raise ValueError(f"{key} cannot be read: {error}") from error


NPZ_FORMATS: Mapping[str, Callable[[Any], FoundProbe]] = {
    "modes": _reader("modes"),  # models.physics.probe.save_probe
    "probe": _reader("probe"),  # ptychodus, tike
    "probeGuess": _reader("probeGuess"),  # PtychoPINN
}
"""By the array that is the probe, first come first taken."""
