"""Volumes out of the catalogue a few slices at a time: what is exported need not fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.catalog.client import Catalog, catalog_errors
from services.catalog.records import NotFoundError, VolumeRecord

Slab = NDArray[np.float32]

_SLAB_BYTES = 32 * 2**20
"""Of one request: a few chunks, and little beside what h5py and Tiled hold themselves."""
_FLOAT_BYTES = 4


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """One element's volume as it stands in Tiled.

    Attributes:
        name: for messages.
        shape: (z, y, x).
        array: Tiled's client of it.
    """

    name: str
    shape: tuple[int, int, int]
    array: Any = field(repr=False)

    def slabs(self, at_most_bytes: int = _SLAB_BYTES) -> Iterator[Slab]:
        """All of it along z, (some z, y, x) each, read one after the other; a slice at least, however large.

        Raises:
            CatalogError: Tiled does not answer, or the volume is gone.
        """
        depth, height, width = self.shape
        thickness = max(1, at_most_bytes // max(1, height * width * _FLOAT_BYTES))
        for first in range(0, depth, thickness):
            with catalog_errors(f"reading slices of {self.name} from {first}"):
                slab = np.asarray(self.array[first : first + thickness], np.float32)
            yield slab


def stored_volume(catalog: Catalog, volume: VolumeRecord, element: str) -> StoredVolume:
    """Find one element of a complete volume; nothing of it is read yet.

    Raises:
        NotFoundError: it lacks this element, or is gone.
        CatalogError: Tiled does not answer.
    """
    name = f"volume {volume.job_id} of {volume.series_key}"
    if element not in volume.elements:
        raise NotFoundError(f"{name} has no element {element}: it has {', '.join(volume.elements)}")
    with catalog_errors(f"opening {element} of {name}"):
        try:
            array = catalog.processed[volume.series_key, "volumes", volume.job_id, element]
        except KeyError:
            raise NotFoundError(f"{name} is gone") from None
        return StoredVolume(f"{element} of {name}", array.shape, array)
