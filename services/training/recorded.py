"""Recorded pairs in an HDF5 file: /pairs to learn from, /held_out to be judged by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from models.superres.pairs.recording import FineScan, Recording
from services.offline.hdf5 import opened, read_number, read_numbers

Part = Literal["pairs", "held_out"]

_FINE_SCAN = ("fine_kernel", "fine_variance", "fine_mask")


def read_recordings(path: Path, part: Part = "pairs") -> list[Recording]:
    """Every ``/<part>/<name>/{coarse,variance,mask,fine,kernel}`` with the attribute ``scale`` of its group.

    A group that has ``fine_kernel``, ``fine_variance`` and ``fine_mask`` too, and the attribute ``fine_scale``, has
    readings of a fine scan in ``fine``, not the truth.

    Raises:
        InputFileError: something is missing or does not belong together; says where.
    """
    with opened(path) as file:
        groups = file.get(part)
        if not isinstance(groups, h5py.Group) or not len(groups):
            raise ValueError(
                f"there is no group /{part} with a group for each pair; it holds {', '.join(sorted(file))}"
            )
        return [_read(groups[name]) for name in sorted(groups)]


def write_recordings(
    path: Path, parts: Mapping[Part, Mapping[str, Recording]], about: Mapping[str, Any] | None = None
) -> None:
    """Write what `read_recordings` reads, with attributes of the file; it is replaced in one go."""
    partial = path.with_suffix(".partial")
    with h5py.File(partial, "w") as file:
        file.attrs.update(about or {})
        for part, recordings in parts.items():
            for name, recording in recordings.items():
                _write(file.create_group(f"{part}/{name}"), recording)
    partial.replace(path)


def _write(group: Any, recording: Recording) -> None:
    planes = {name: getattr(recording, name) for name in ("coarse", "variance", "fine", "kernel")}
    planes["mask"] = recording.mask.astype(np.uint8)
    group.attrs["scale"] = recording.scale
    if (scan := recording.fine_scan) is not None:
        planes |= {"fine_kernel": scan.kernel, "fine_variance": scan.variance, "fine_mask": scan.mask.astype(np.uint8)}
        group.attrs["fine_scale"] = scan.scale
    for name, plane in planes.items():
        group.create_dataset(name, data=plane, compression="gzip", compression_opts=1)


def _read(group: Any) -> Recording:
    if not isinstance(group, h5py.Group):
        raise ValueError(f"{group.name} is no group: put coarse, variance, mask, fine and kernel into one")
    try:
        coarse, variance, fine, kernel = (
            read_numbers(group, name).astype(np.float32) for name in ("coarse", "variance", "fine", "kernel")
        )
        mask = read_numbers(group, "mask") != 0
        return Recording(coarse, variance, mask, fine, kernel, _whole_number(group, "scale"), _fine_scan(group))
    except ValueError as error:
        raise ValueError(f"{group.name}: {error}") from error


def _fine_scan(group: Any) -> FineScan | None:
    """All of it or nothing: readings of a fine scan are not to be taken for the truth by oversight."""
    if "fine_scale" not in group.attrs and not any(name in group for name in _FINE_SCAN):
        return None
    kernel, variance, mask = (read_numbers(group, name) for name in _FINE_SCAN)
    scale = _whole_number(group, "fine_scale")
    return FineScan(variance.astype(np.float32), mask != 0, kernel.astype(np.float32), scale)


def _whole_number(group: Any, name: str) -> int:
    scale = read_number(name, group)
    if scale is None or scale != int(scale):
        said = "missing" if scale is None else f"{scale:g}"
        raise ValueError(f"the attribute {name} is {said}: a whole number of fine pixels is needed")
    return int(scale)
