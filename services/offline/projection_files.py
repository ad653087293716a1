"""Projections of an angle series from an HDF5 file: our own layout, or NXtomo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from services.offline.hdf5 import opened, read_number, read_numbers

Stack = NDArray[np.float32]

_PROCESSES = ("processing", "reconstruction")
"""As `services.nexus` names them."""
_NM_PER_UNIT = {"nm": 1.0, "um": 1e3, "µm": 1e3, "mm": 1e6, "m": 1e9}


@dataclass(frozen=True)
class ProjectionFile:
    """What a file holds; the stacks themselves are read one by one.

    Attributes:
        path: of the file.
        places: the dataset of each element.
        units: of each element.
        shape: (angle, y, x) of every stack.
        angles_deg: (angle,), finite.
        pixel_nm: None where the file does not say.
        lineage: what the file says of the enhancer that made its projections; empty where it says nothing.
    """

    path: Path
    places: Mapping[str, str]
    units: Mapping[str, str]
    shape: tuple[int, int, int]
    angles_deg: NDArray[np.float64]
    pixel_nm: float | None
    lineage: Mapping[str, str]

    @property
    def elements(self) -> tuple[str, ...]:
        """As asked for, or as the file lists them."""
        return tuple(self.places)

    def read(self, element: str) -> Stack:
        """(angle, y, x); NaN where not measured."""
        with opened(self.path) as file:
            return np.asarray(read_numbers(file, self.places[element]), dtype=np.float32)


@dataclass(frozen=True)
class _Found:
    """One element in the file."""

    dataset: Any
    angles: NDArray[np.float64]
    angles_name: str
    pixel_nm: float | None


def find_projections(path: Path, elements: Sequence[str] = ()) -> ProjectionFile:
    """Look what a file holds: ``/projections/<El>`` with ``/angles_deg``, or an NXtomo entry for each element.

    Args:
        path: of the file.
        elements: that are wanted; none: all.

    Raises:
        InputFileError: there are no such projections or elements, or shapes and angles do not fit.
    """
    with opened(path) as file:
        found = _own_layout(file) if "projections" in file else _nxtomo(file)
        if unknown := [element for element in elements if element not in found]:
            raise ValueError(f"there are no projections of {', '.join(unknown)}: there are those of {', '.join(found)}")
        chosen = {element: found[element] for element in dict.fromkeys(elements or found)}
        first = next(iter(chosen.values()))
        for element, one in chosen.items():
            _check(element, one, first)
        return ProjectionFile(
            path,
            {element: one.dataset.name for element, one in chosen.items()},
            {element: _units(one.dataset) for element, one in chosen.items()},
            first.dataset.shape,
            first.angles,
            first.pixel_nm,
            lineage_of(file, *(file[name] for name in file if name in chosen)),
        )


def lineage_of(*places: Any) -> dict[str, str]:
    """``model``, ``model_digest`` and ``probe_digest`` from attributes, or from the NXprocess of a NeXus entry."""
    found: dict[str, str] = {}
    for place, name in product(places, ("model", "model_digest", "probe_digest")):
        if name in place.attrs:
            found.setdefault(name, as_text(place.attrs[name]))
        for process in _PROCESSES if isinstance(place, h5py.Group) else ():
            field = place.get(f"{process}/parameters/{name}")
            if isinstance(field, h5py.Dataset):
                found.setdefault(name, as_text(field[()]))
    return found


def as_text(value: Any) -> str:
    """An attribute as h5py gives it."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _own_layout(file: Any) -> dict[str, _Found]:
    group = file["projections"]
    if not isinstance(group, h5py.Group) or not len(group):
        raise ValueError("/projections holds nothing: a group with a dataset (angle, y, x) for each element is needed")
    angles = read_numbers(file, "angles_deg").astype(np.float64)
    return {
        element: _Found(dataset, angles, "/angles_deg", read_number("pixel_nm", dataset, group, file))
        for element, dataset in group.items()
    }


def _nxtomo(file: Any) -> dict[str, _Found]:
    entries = {name: entry for name, entry in file.items() if _is_nxtomo(entry)}
    if not entries:
        raise ValueError(
            "there is no group /projections with a dataset (angle, y, x) for each element, and no NXtomo entry; the "
            f"file holds {', '.join(f'/{name}' for name in file) or 'nothing'}"
        )
    return {name: _of_entry(entry) for name, entry in entries.items()}


def _is_nxtomo(entry: Any) -> bool:
    definition = entry.get("definition") if isinstance(entry, h5py.Group) else None
    return isinstance(definition, h5py.Dataset) and definition[()] in (b"NXtomo", "NXtomo")


def _of_entry(entry: Any) -> _Found:
    detector, angles = entry.get("instrument/detector"), entry.get("sample/rotation_angle")
    if angles is None or detector is None or "data" not in detector:
        raise ValueError(f"{entry.name} lacks instrument/detector/data or sample/rotation_angle, which NXtomo requires")
    if "image_key" in detector and np.any(detector["image_key"][()]):
        raise ValueError(
            f"{entry.name} holds flat, dark or invalid frames (image_key): bring it to line integrals first, "
            "-ln((projection - dark) / (flat - dark)) for transmission"
        )
    pixel_nm = None
    if "x_pixel_size" in detector:
        unit = as_text(detector["x_pixel_size"].attrs.get("units", "m"))
        if unit not in _NM_PER_UNIT:
            raise ValueError(f"x_pixel_size of {entry.name} is in {unit!r}: {', '.join(_NM_PER_UNIT)} are known")
        pixel_nm = float(detector["x_pixel_size"][()]) * _NM_PER_UNIT[unit]
    factor = 180 / np.pi if as_text(angles.attrs.get("units", "deg")).startswith("rad") else 1.0
    return _Found(detector["data"], factor * np.asarray(angles[()], np.float64), angles.name, pixel_nm)


def _check(element: str, one: _Found, first: _Found) -> None:
    dataset = one.dataset
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf" or len(dataset.shape or ()) != 3:
        what = f"of shape {dataset.shape} and type {dataset.dtype}" if isinstance(dataset, h5py.Dataset) else "no array"
        raise ValueError(f"{dataset.name} is {what}: real numbers (angle, y, x) are needed")
    if 0 in dataset.shape:
        raise ValueError(f"{dataset.name} has shape {dataset.shape}: each axis must be at least 1")
    if dataset.shape != first.dataset.shape:
        raise ValueError(
            f"the projections of {element} have shape {dataset.shape}, those before {first.dataset.shape}: "
            "all elements must stand on one grid, or choose some with --element"
        )
    if one.angles.shape != (dataset.shape[0],):
        raise ValueError(
            f"{one.angles_name} has shape {one.angles.shape} for {dataset.shape[0]} projections of {element}: "
            "one angle per projection is needed, and angles are the first axis"
        )
    if bad := np.count_nonzero(~np.isfinite(one.angles)):
        raise ValueError(
            f"{one.angles_name} has {bad} entries that are no numbers: leave those projections out, or say their angles"
        )
    if not np.array_equal(one.angles, first.angles):
        raise ValueError(f"{element} has other angles than the elements before: choose some with --element")


def _units(dataset: Any) -> str:
    return as_text(dataset.attrs.get("units", ""))
