"""Recorded pairs from an HDF5 file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models.superres.pairs.recording import Recording
from services.offline.hdf5 import opened, read_number, read_numbers


def read_recordings(path: Path) -> list[Recording]:
    """Every ``/pairs/<name>/{coarse,variance,mask,fine,kernel}`` with the attribute ``scale`` of its group.

    Raises:
        InputFileError: something is missing or does not belong together; says where.
    """
    with opened(path) as file:
        groups = file.get("pairs")
        if not isinstance(groups, h5py.Group) or not len(groups):
            raise ValueError(f"there is no group /pairs with a group for each pair; it holds {', '.join(sorted(file))}")
        return [_read(groups[name]) for name in sorted(groups)]


def _read(group: Any) -> Recording:
    if not isinstance(group, h5py.Group):
        raise ValueError(f"{group.name} is no group: put coarse, variance, mask, fine and kernel into one")
    try:
        coarse, variance, fine, kernel = (
            read_numbers(group, name).astype(np.float32) for name in ("coarse", "variance", "fine", "kernel")
        )
        mask = read_numbers(group, "mask") != 0
        return Recording(coarse, variance, mask, fine, kernel, _scale(group))
    except ValueError as error:
        raise ValueError(f"{group.name}: {error}") from error


def _scale(group: Any) -> int:
    scale = read_number("scale", group)
    if scale is None or scale != int(scale):
        said = "missing" if scale is None else f"{scale:g}"
        raise ValueError(f"the attribute scale is {said}: a whole number of fine pixels per coarse pixel is needed")
    return int(scale)
