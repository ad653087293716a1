"""What every device of a fly-scan has in common: it records a flight row by row into a file of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from ophyd import Device

from plans.devices.row_file import AssetDocument, RowArray, RowFile

RowReading = Mapping[str, NDArray[Any]]
"""One row by data key."""


class Rows(Protocol):
    """What devices need to know of a flight to make room for it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and points in each."""
        ...


class RowDetector(Device):
    """A device that writes stream assets; a subclass says which arrays it has, their names are `RowReading`'s.

    Its life: ``open_file`` and ``record`` and ``close_file`` by the fly controller, the rest by the RunEngine.
    """

    def __init__(self, *, name: str, **options: Any) -> None:
        super().__init__(name=name, **options)
        self._arrays: tuple[RowArray, ...] = ()
        self._file: RowFile | None = None

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """The arrays of one row of this scan."""
        raise NotImplementedError

    def open_file(self, folder: Path, flight_uid: str, scan: Rows) -> None:
        """Start an empty file for one flight."""
        self.close_file()
        self._arrays = self.row_arrays(scan)
        self._file = RowFile(folder / f"{flight_uid}-{self.name}.h5", self._arrays, scan.shape[0])

    def record(self, reading: RowReading) -> None:
        """Write what this device saw of a row."""
        self._opened().append({array.key: reading[array.key] for array in self._arrays})

    def close_file(self) -> None:
        """Close the file; what it holds can still be announced."""
        if self._file is not None:
            self._file.close()

    def get_index(self) -> int:
        """Rows on disk."""
        return self._opened().n_written

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Data keys of the stream."""
        return {array.key: array.data_key(f"sim://{self.name}") for array in self._arrays}

    def collect_asset_docs(self, index: int | None = None) -> Iterator[AssetDocument]:
        """Announce the rows up to ``index``, what every device of the stream has on disk."""
        n_written = self.get_index()
        yield from self._opened().announce(n_written if index is None else min(index, n_written))

    def _opened(self) -> RowFile:
        if self._file is None:
            raise RuntimeError(f"{self.name} has no file: prepare the fly controller first")
        return self._file
