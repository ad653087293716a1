"""Volumes as NXdata, with an NXprocess that says how they came about; one entry for each element."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.nexus.file import new_entry, new_group, write_field, write_process

_AXES = ("z", "y", "x")
_TOLD = (
    "algorithm",
    "source",
    "centre_px",
    "centre_sigma_px",
    "centre_method",
    "voxel_size_nm",
    "angular_sampling_limit_nm",
    "filled_points",
    "computed_s",
)
"""Of the metadata, as fields of their own."""


@dataclass(frozen=True)
class Described:
    """What holds for the volumes of one reconstruction.

    Attributes:
        sample: its name.
        shape: (z, y, x) of a volume.
        units: of its values.
        metadata: of the reconstruction, with ``voxel_size_nm``.
    """

    sample: str
    shape: tuple[int, int, int]
    units: str
    metadata: Mapping[str, Any]


def write_volume(file: Any, element: str, described: Described, slabs: Iterable[NDArray[np.float32]]) -> None:
    """Write one element's entry; positions are counted from the rotation axis, in the middle of the volume.

    Args:
        file: see `services.nexus.file.nexus_file`.
        element: names the entry.
        described: what holds for all elements.
        slabs: (some z, y, x) each, one after the other along z; none is kept.

    Raises:
        ValueError: the slabs are not as deep as the volume.
    """
    metadata, units = described.metadata, described.units
    entry = new_entry(file, element, f"{described.sample}: {element}, reconstructed")
    new_group(entry, "sample", "NXsample")["name"] = described.sample
    plot = new_group(entry, "data", "NXdata")
    entry.attrs["default"] = "data"
    _write_slabs(plot.create_dataset("data", described.shape, np.float32), slabs)
    plot["data"].attrs["units"] = units
    plot["data"].attrs["long_name"] = f"{element} [{units}]"
    for name, n in zip(_AXES, described.shape, strict=True):
        write_field(plot, name, (np.arange(n) + 0.5 - n / 2) * metadata["voxel_size_nm"], "nm")
    plot.attrs["signal"] = "data"
    plot.attrs["axes"] = list(_AXES)
    told = {name: metadata.get(name) for name in _TOLD} | dict(metadata.get("parameters", {}))
    write_process(entry, "reconstruction", metadata, told)


def _write_slabs(dataset: Any, slabs: Iterable[NDArray[np.float32]]) -> None:
    depth, first = dataset.shape[0], 0
    for slab in slabs:
        if first + len(slab) > depth:
            raise ValueError(f"slabs reach slice {first + len(slab)} of a volume of {depth}: pass all of it once")
        dataset[first : first + len(slab)] = slab
        first += len(slab)
    if first != depth:
        raise ValueError(f"slabs end at slice {first} of a volume of {depth}: pass all of it once")
