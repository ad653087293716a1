"""Detectors' HDF5 files as Tiled may serve them: an adapter that looks at a file before it believes it.

Tiled's own adapter plans a read from what the file says, not from what was announced: a file that says it has 1e12
points keeps the server busy until it has no memory left, one large compressed chunk does the same, and a link out of
the file is followed to wherever it points. Named in the server's configuration under ``adapters_by_mimetype``.
"""

from math import prod
from pathlib import Path
from typing import Any

import h5py
from fastapi import HTTPException, status
from tiled.adapters.hdf5 import HDF5Adapter
from tiled.structures.core import StructureFamily
from tiled.utils import path_from_uri

_LARGEST_CHUNK_BYTES = 256 * 2**20
"""Unpacked; detectors write a row of a scan, some 20 MB."""
_MOST_CHUNKS = 1_000_000


class DetectorFileAdapter(HDF5Adapter):  # type: ignore[misc]
    """Tiled's adapter of HDF5, for files that are what was announced."""

    @classmethod
    def from_catalog(cls, data_source: Any, node: Any, /, *, dataset: str | list[str] = "/", **options: Any) -> Any:
        """The file's adapter.

        Raises:
            HTTPException: 410 where the file is not what was announced, 500 where it cannot be opened, with the reason.
        """
        if data_source.structure_family == StructureFamily.array:
            name = dataset if isinstance(dataset, str) else "/".join(dataset)
            for asset in data_source.assets:
                _check(Path(path_from_uri(asset.data_uri)), name, data_source.structure, bool(options.get("swmr")))
        return HDF5Adapter.from_catalog(data_source, node, dataset=dataset, **options)


def _check(path: Path, name: str, announced: Any, swmr: bool) -> None:
    try:
        with h5py.File(path, "r", libver="latest", swmr=swmr) as file:
            found = file[name]
            reason = _what_is_wrong(path, found, announced) if isinstance(found, h5py.Dataset) else "is no dataset"
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        told = f"{name} of {path.name} cannot be opened: {str(error)[:200]}"
        raise HTTPException(status.HTTP_500_INTERNAL_SERVER_ERROR, told) from error
    if reason:
        raise HTTPException(status.HTTP_410_GONE, f"{name} of {path.name} {reason}")


def _what_is_wrong(path: Path, found: Any, announced: Any) -> str:
    if Path(found.file.filename) != path or found.external or found.is_virtual:
        return "lies in another file, which is not followed"
    dtype = announced.data_type.to_numpy_dtype()
    if found.dtype != dtype:
        return f"holds {found.dtype} where {dtype} was announced"
    if len(found.shape) != len(announced.shape) or found.shape[1:] != tuple(announced.shape[1:]):
        return f"has shape {found.shape} where {tuple(announced.shape)} was announced"
    chunk = found.chunks or found.shape
    if prod(chunk) * found.dtype.itemsize > _LARGEST_CHUNK_BYTES:
        return f"has chunks of shape {chunk}, more than {_LARGEST_CHUNK_BYTES / 2**20:g} MiB each"
    if prod(-(-size // max(1, side)) for size, side in zip(found.shape, chunk, strict=True)) > _MOST_CHUNKS:
        return f"of shape {found.shape} has more than {_MOST_CHUNKS} chunks"
    if _end_of_data(found, announced.shape[0]) > path.stat().st_size:
        return f"ends behind the end of its file: it was cut off at {path.stat().st_size} bytes"
    return ""


def _end_of_data(found: Any, rows: int) -> int:
    """Where the last announced row ends in the file; HDF5 itself reads zeros from behind the end of a file."""
    if not found.chunks:
        return int((found.id.get_offset() or 0) + found.id.get_storage_size())
    if not 0 < rows <= found.shape[0]:
        return 0
    last = found.id.get_chunk_info_by_coord((rows - 1, *(0,) * (found.ndim - 1)))
    return int((last.byte_offset or 0) + last.size)
