"""Middle slices and maximum projections of a volume, put together from those of its slabs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.catalog.volume_writing import VolumeImages
from services.catalog.volumes import PLANES
from services.reconstruction.shelf import Rows

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SlabViews:
    """Of a slab (z, row, x).

    Attributes:
        rows: its own.
        middle_z, middle_x: (row, x) and (z, row) in the middle of the volume along these axes.
        middle_y: (z, x); None where another slab has it.
        highest_z, highest_y, highest_x: (row, x), (z, x) and (z, row): the largest values along each axis.
    """

    rows: Rows
    middle_z: Image
    middle_y: Image | None
    middle_x: Image
    highest_z: Image
    highest_y: Image
    highest_x: Image

    @classmethod
    def of(cls, slab: NDArray[np.float32], rows: Rows, n_rows: int) -> "SlabViews":
        """Of some of the rows of a volume of so many."""
        (depth, _, width), middle = slab.shape, n_rows // 2
        return cls(
            rows,
            slab[depth // 2].copy(),
            slab[:, middle - rows.first].copy() if rows.first <= middle < rows.stop else None,
            slab[:, :, width // 2].copy(),
            slab.max(0),
            slab.max(1),
            slab.max(2),
        )


class VolumeViews:
    """The views of a volume (z, y, x), as far as its slabs have come.

    Args:
        shape: of the volume.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        depth, height, width = shape
        self._slices = [np.zeros(plane, np.float32) for plane in ((height, width), (depth, width), (depth, height))]
        self._maxima = [np.full_like(image, -np.inf) for image in self._slices]

    def take(self, views: SlabViews) -> None:
        """Put those of a slab where they belong; twice is as good as once."""
        rows = slice(views.rows.first, views.rows.stop)
        self._slices[0][rows], self._slices[2][:, rows] = views.middle_z, views.middle_x
        self._maxima[0][rows], self._maxima[2][:, rows] = views.highest_z, views.highest_x
        np.maximum(self._maxima[1], views.highest_y, out=self._maxima[1])
        if views.middle_y is not None:
            self._slices[1][:] = views.middle_y

    def images(self) -> VolumeImages:
        """Of the whole volume, once all slabs have come."""
        return VolumeImages(
            {plane: self._slices[axis] for plane, axis in PLANES.items()},
            {plane: self._maxima[axis] for plane, axis in PLANES.items()},
        )
