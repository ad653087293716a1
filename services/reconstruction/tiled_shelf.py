"""The shelf in Tiled: maps of a series, placed maps and slabs of one attempt at its volume."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.catalog.client import Catalog
from services.catalog.products import read_part
from services.catalog.volume_writing import VolumePlace, make_placed_stack, read_placed, write_placed, write_slab
from services.reconstruction.shelf import Rows, Stack, StackName, Volume


@dataclass(frozen=True)
class TiledShelf:
    """See `services.reconstruction.shelf.Shelf`; what it cannot reach raises the catalogue's errors."""

    catalog: Catalog
    place: VolumePlace

    def read_planes(self, stack: StackName, planes: Sequence[int]) -> Stack:
        """See `Shelf`."""
        return self._read(stack, planes, slice(None))

    def read_rows(self, stack: StackName, planes: Sequence[int], rows: Rows) -> Stack:
        """See `Shelf`."""
        return self._read(stack, planes, slice(rows.first, rows.stop))

    def make_stack(self, stack: StackName, shape: tuple[int, int, int], batch: int, slab_rows: int) -> None:
        """See `Shelf`."""
        make_placed_stack(self.catalog, self.place, _key(stack), shape, batch, slab_rows)

    def write_planes(self, stack: StackName, first: int, maps: Stack) -> None:
        """See `Shelf`."""
        write_placed(self.catalog, self.place, _key(stack), first, maps)

    def write_slab(self, element: str, first_row: int, slab: Volume) -> None:
        """See `Shelf`."""
        write_slab(self.catalog, self.place, element, first_row, slab)

    def _read(self, stack: StackName, planes: Sequence[int], rows: slice) -> Stack:
        # One request for all between the first and the last: few are left out.
        first, last = min(planes), max(planes)
        between = slice(first, last + 1)
        if stack.is_placed:
            maps = read_placed(self.catalog, self.place, _key(stack), between, rows)
        else:
            maps = read_part(self.catalog, self.place.series_key, stack.source, stack.element, between, rows)
        chosen: Stack = maps[np.asarray(planes) - first]
        return chosen


def _key(stack: StackName) -> str:
    return f"{stack.source}_{stack.element}"
