"""Where a job takes its maps from and puts its slabs: Tiled, or the memory of whoever has it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.catalog.records import MapSource

Stack = NDArray[np.float32]
Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Some rows of all maps, and the slices of a volume that come of them."""

    first: int
    count: int

    @property
    def stop(self) -> int:
        """The row after the last."""
        return self.first + self.count


@dataclass(frozen=True)
class StackName:
    """One element's maps (plane, y, x).

    Attributes:
        source: of the maps.
        element: whose.
        is_placed: a plane for each angle used, moved and filled, of this job alone; else as the series has them.
    """

    source: MapSource
    element: str
    is_placed: bool = False


class Shelf(Protocol):
    """What a job reads and writes, plane by plane or slab by slab; to write twice is to write once."""

    def read_planes(self, stack: StackName, planes: Sequence[int]) -> Stack:
        """(plane, y, x)."""

    def read_rows(self, stack: StackName, planes: Sequence[int], rows: Rows) -> Stack:
        """(plane, row, x)."""

    def make_stack(self, stack: StackName, shape: tuple[int, int, int], batch: int, slab_rows: int) -> None:
        """Room for a placed stack that will be written by so many planes at once and read by so many rows."""

    def write_planes(self, stack: StackName, first: int, maps: Stack) -> None:
        """Planes of a placed stack from ``first`` on."""

    def write_slab(self, element: str, first_row: int, slab: Volume) -> None:
        """(z, row, x) of the element's volume."""


@dataclass(frozen=True, eq=False)
class MemoryShelf:
    """All in memory.

    Attributes:
        stacks: (plane, y, x) by name.
        volumes: (z, y, x) of each element, as far as slabs were written.
    """

    stacks: dict[StackName, Stack]
    volumes: dict[str, Volume] = field(default_factory=dict)

    @classmethod
    def of(cls, maps: Mapping[MapSource, Mapping[str, Stack]]) -> "MemoryShelf":
        """A shelf with these maps of each source and element."""
        return cls(
            {StackName(source, name): stack for source, stacks in maps.items() for name, stack in stacks.items()}
        )

    def read_planes(self, stack: StackName, planes: Sequence[int]) -> Stack:
        """See `Shelf`."""
        return self.stacks[stack][list(planes)]

    def read_rows(self, stack: StackName, planes: Sequence[int], rows: Rows) -> Stack:
        """See `Shelf`."""
        return self.stacks[stack][list(planes), rows.first : rows.stop]

    def make_stack(self, stack: StackName, shape: tuple[int, int, int], batch: int, slab_rows: int) -> None:  # noqa: ARG002
        """See `Shelf`."""
        self.stacks[stack] = np.zeros(shape, np.float32)

    def write_planes(self, stack: StackName, first: int, maps: Stack) -> None:
        """See `Shelf`."""
        self.stacks[stack][first : first + len(maps)] = maps

    def write_slab(self, element: str, first_row: int, slab: Volume) -> None:
        """See `Shelf`."""
        stop = first_row + slab.shape[1]
        had = self.volumes.get(element, np.zeros((slab.shape[0], 0, slab.shape[2]), np.float32))
        missing = max(0, stop - had.shape[1])
        volume = np.pad(had, ((0, 0), (0, missing), (0, 0)))
        volume[:, first_row:stop] = slab
        self.volumes[element] = volume
