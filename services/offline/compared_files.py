"""The same dataset of two files: two halves, or an estimate and the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from services.offline.hdf5 import InputFileError, opened, read_number, read_numbers
from services.offline.projection_files import as_text, lineage_of

_GROUPS = ("volume", "enhanced", "supported", "fitted", "maps")
"""Where datasets by element are looked for, in this order."""
_SIZE_NAMES = ("voxel_size_nm", "pixel_nm", "pixel_size_nm")
_LEAST_SIDE = 16
"""In pixels: fewer shells than 8 make no curve."""
_SAME_SIZE = 1e-6


@dataclass(frozen=True, eq=False)
class Compared:
    """Two arrays on one grid.

    Attributes:
        name: of the dataset.
        one, other: (y, x) or (z, y, x).
        pixel_nm: of both.
        models: enhancers that the files say their data went through.
        share_input: both say that they were made from the same file, and not from different halves of it.
    """

    name: str
    one: NDArray[np.float32]
    other: NDArray[np.float32]
    pixel_nm: float
    models: tuple[str, ...]
    share_input: bool


@dataclass(frozen=True, eq=False)
class _Read:
    values: NDArray[np.float32]
    pixel_nm: float | None
    model: str | None
    origin: tuple[str, str] | None
    """(digest of the input, which half of it)."""


def read_compared(
    one: Path,
    other: Path,
    path: str | None,
    elements: Sequence[str],
    slice_y: int | None,
    pixel_nm: float | None,
) -> Iterator[Compared]:
    """Every dataset asked for, one after the other.

    Args:
        one, other: the files.
        path: of a dataset; None: by element.
        elements: None given: all that the first file has.
        slice_y: take this (z, x) slice of volumes; None: the whole.
        pixel_nm: None: as the files say.

    Raises:
        InputFileError: a dataset is missing, or the two do not fit together.
    """
    for name in _names(one, path, elements):
        first, second = _read(one, name, slice_y), _read(other, name, slice_y)
        if first.values.shape != second.values.shape:
            raise InputFileError(
                f"{name} has shape {first.values.shape} in {one} and {second.values.shape} in {other}: the two must "
                "stand on one grid"
            )
        if min(first.values.shape) < _LEAST_SIDE:
            thin = first.values.ndim == 3 and slice_y is None
            raise InputFileError(
                f"{name} has shape {first.values.shape}: each side must have at least {_LEAST_SIDE} pixels"
                + ("; compare single slices across the rotation axis with --slice" if thin else "")
            )
        for file, read in ((one, first), (other, second)):
            if not np.isfinite(read.values).all():
                raise InputFileError(
                    f"{name} of {file} has values that are not finite: name the elements to compare with --element, or "
                    "fill the gaps"
                )
        models = tuple(dict.fromkeys(read.model for read in (first, second) if read.model))
        share_input = first.origin is not None and first.origin == second.origin
        size = _pixel_nm(name, first.pixel_nm, second.pixel_nm, pixel_nm)
        label = name if slice_y is None else f"{name}[:, {slice_y}, :]"
        yield Compared(label, first.values, second.values, size, models, share_input)


def _names(path: Path, name: str | None, elements: Sequence[str]) -> list[str]:
    if name is not None:
        if elements:
            raise ValueError("--path names one dataset and --element others: pass one of the two")
        return [name]
    with opened(path) as file:
        groups = [group for group in _GROUPS if isinstance(file.get(group), h5py.Group) and len(file[group])]
        if not groups:
            raise ValueError(
                f"there is none of the groups {', '.join(f'/{group}' for group in _GROUPS)}; the file holds "
                f"{', '.join(f'/{group}' for group in file) or 'nothing'}: name a dataset with --path"
            )
        had = list(file[groups[0]])
        if unknown := [element for element in elements if element not in had]:
            raise ValueError(f"/{groups[0]} has no {', '.join(unknown)}: it has {', '.join(had)}")
        return [f"/{groups[0]}/{element}" for element in elements or had]


def _read(path: Path, name: str, slice_y: int | None) -> _Read:
    with opened(path) as file:
        values = read_numbers(file, name).astype(np.float32)
        if values.ndim not in (2, 3):
            raise ValueError(f"{name} has shape {values.shape}: (y, x) or (z, y, x) is needed")
        if slice_y is not None:
            if values.ndim != 3 or not 0 <= slice_y < values.shape[1]:
                raise ValueError(f"{name} has shape {values.shape}: it has no slice {slice_y} along y")
            values = values[:, slice_y]
        places = (file[name], file[name].parent, file, file[name.strip("/").split("/")[0]])
        sizes = [size for size in (read_number(size_name, *places) for size_name in _SIZE_NAMES) if size]
        model = lineage_of(*places).get("model")
        return _Read(values, sizes[0] if sizes else None, model, _origin(file))


def _origin(file: Any) -> tuple[str, str] | None:
    digest = file.attrs.get("input_sha256")
    return None if digest is None else (as_text(digest), as_text(file.attrs.get("half", "")))


def _pixel_nm(name: str, one: float | None, other: float | None, given: float | None) -> float:
    if given is not None:
        if not 0 < given < np.inf:
            raise ValueError(f"a pixel of {given} nm: pass a positive size with --pixel-nm")
        return given
    sizes = [size for size in (one, other) if size is not None]
    if not sizes:
        raise ValueError(f"neither file says the size of a pixel of {name} (attribute pixel_nm): pass --pixel-nm")
    if abs(sizes[0] - sizes[-1]) > _SAME_SIZE * sizes[0]:
        raise ValueError(f"a pixel of {name} is {sizes[0]:g} nm in one file and {sizes[-1]:g} nm in the other")
    return sizes[0]
