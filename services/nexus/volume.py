"""Volumes as NXdata, with an NXprocess that says how they came about; one entry for each element."""

from collections.abc import Mapping
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


def write_volume(
    file: Any, element: str, volume: NDArray[np.float32], units: str, sample: str, metadata: Mapping[str, Any]
) -> None:
    """Write one element's entry; positions are counted from the rotation axis, in the middle of the volume.

    Args:
        file: see `services.nexus.file.nexus_file`.
        element: names the entry.
        volume: (z, y, x).
        units: of the volume.
        sample: its name.
        metadata: of the reconstruction, with ``voxel_size_nm``.
    """
    entry = new_entry(file, element, f"{sample}: {element}, reconstructed")
    new_group(entry, "sample", "NXsample")["name"] = sample
    plot = new_group(entry, "data", "NXdata")
    entry.attrs["default"] = "data"
    plot.create_dataset("data", data=volume)
    plot["data"].attrs["units"] = units
    plot["data"].attrs["long_name"] = f"{element} [{units}]"
    for name, n in zip(_AXES, volume.shape, strict=True):
        write_field(plot, name, (np.arange(n) + 0.5 - n / 2) * metadata["voxel_size_nm"], "nm")
    plot.attrs["signal"] = "data"
    plot.attrs["axes"] = list(_AXES)
    told = {name: metadata.get(name) for name in _TOLD} | dict(metadata.get("parameters", {}))
    write_process(entry, "reconstruction", metadata, told)
