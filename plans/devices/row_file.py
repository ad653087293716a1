"""One HDF5 file that grows row by row while others read it, and the documents that announce it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

_CHUNK_BYTES = 2**22
_MIMETYPE = "application/x-hdf5"
AssetDocument = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class RowArray:
    """One array that gets a row at a time.

    Attributes:
        key: data key of the stream, and name of the dataset.
        shape: of ONE row, without the row axis; (1,) is kept as a plain number a row, as which TiledWriter takes it.
        dims: names of the axes of one row.
    """

    key: str
    dtype: DTypeLike
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    units: str

    def __post_init__(self) -> None:
        if self.shape == (1,):
            object.__setattr__(self, "shape", ())
            object.__setattr__(self, "dims", ())

    @property
    def dataset(self) -> str:
        """Path in the file."""
        return f"/entry/{self.key}"

    def chunk_shape(self, n_rows: int) -> tuple[int, ...]:
        """Rows in equal chunks of some megabytes: a row's flush writes its chunk again, and none is half empty."""
        row_bytes = np.dtype(self.dtype).itemsize * prod(self.shape)
        n_chunks = ceil(n_rows / max(_CHUNK_BYTES // row_bytes, 1))
        return ceil(n_rows / n_chunks), *self.shape

    def data_key(self, source: str) -> dict[str, Any]:
        """What the descriptor says about this array; the stream adds the row axis."""
        return {
            "source": source,
            "dtype": "array",
            "dtype_numpy": np.dtype(self.dtype).str,
            "shape": list(self.shape),
            "dims": list(self.dims),
            "units": self.units,
            "external": "STREAM:",
        }


class RowFile:
    """A file in single-writer-multiple-reader mode: what has been announced can be read while the rest is written.

    Chunks are some rows each, uncompressed: Tiled opens the file once per chunk it reads, so that chunks of one row
    would make reading slow. Written from the flight's thread, announced from the RunEngine's.
    """

    def __init__(self, path: Path, arrays: Sequence[RowArray], n_rows: int) -> None:
        """Create it, empty; ``n_rows`` is how many are to come."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._arrays = tuple(arrays)
        self._n_rows = n_rows
        self._resources = {array.key: str(uuid4()) for array in arrays}
        self._n_written = 0
        self._n_announced = 0
        self._lock = Lock()
        self._file = h5py.File(path, "x", libver="latest")
        self._datasets = {array.key: self._create(array) for array in self._arrays}
        self._file.swmr_mode = True  # only now: no dataset can be added afterwards

    @property
    def n_written(self) -> int:
        """Rows that are on disk in full."""
        with self._lock:
            return self._n_written

    def append(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Write one row of every array; it counts as written once all of them are flushed."""
        row = self._n_written
        for key, dataset in self._datasets.items():
            dataset.resize(row + 1, axis=0)
            dataset[row] = np.reshape(rows[key], dataset.shape[1:])
            dataset.flush()
        with self._lock:
            self._n_written = row + 1

    def announce(self, stop: int) -> Iterator[AssetDocument]:
        """The documents of rows not yet announced, up to ``stop``; of none there is nothing to say."""
        start = self._n_announced
        if stop <= start:
            return
        if start == 0:
            yield from (("stream_resource", self._resource(array)) for array in self._arrays)
        for resource in self._resources.values():
            datum = {
                "uid": f"{resource}/{start}",
                "stream_resource": resource,
                "descriptor": "",  # this and seq_nums are the RunEngine's to fill in
                "indices": {"start": start, "stop": stop},
                "seq_nums": {"start": 0, "stop": 0},
            }
            yield "stream_datum", datum
        self._n_announced = stop

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._file.close()

    def _create(self, array: RowArray) -> h5py.Dataset:
        dataset = self._file.create_dataset(
            array.dataset,
            shape=(0, *array.shape),
            maxshape=(None, *array.shape),
            chunks=array.chunk_shape(self._n_rows),
            dtype=array.dtype,
        )
        dataset.attrs["units"] = array.units
        return dataset

    def _resource(self, array: RowArray) -> dict[str, Any]:
        return {
            "uid": self._resources[array.key],
            "data_key": array.key,
            "mimetype": _MIMETYPE,
            "uri": f"file://localhost{self.path.resolve()}",  # not percent-encoded: Tiled takes it literally
            "parameters": {
                "dataset": array.dataset,
                "chunk_shape": list(array.chunk_shape(self._n_rows)),
                "swmr": True,
            },
        }
