"""Maps of counts from an HDF5 file, and fine maps into another."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from models.superres.enhance import counted_maps
from models.superres.enhancer import EnhancedMaps
from models.superres.trust import Trust
from models.xrf.maps import ElementMaps
from services.errors import SubprobeError
from services.offline.hdf5 import opened, read_numbers


class OutputFileError(SubprobeError):
    """A file that cannot be written where it was asked for."""


@dataclass(frozen=True)
class MapFile:
    """What was measured, and the unit of each element's map."""

    maps: ElementMaps
    units: Mapping[str, str]

    @property
    def measured(self) -> tuple[str, ...]:
        """Elements with at least one point."""
        planes = zip(self.maps.elements, self.maps.values, strict=True)
        return tuple(element for element, counts in planes if np.isfinite(counts).any())


@dataclass(frozen=True)
class Product:
    """One kind of map in the output.

    Attributes:
        of: the maps of all elements.
        fine: on the fine grid, or else on the coarse one.
        units: None for those of the input.
    """

    of: Callable[[EnhancedMaps, Trust], NDArray[np.float32]]
    fine: bool = True
    units: str | None = None


PRODUCTS: dict[str, Product] = {
    "enhanced": Product(lambda maps, _: maps.values),
    "sigma": Product(lambda maps, _: maps.sigma),
    "supported": Product(lambda _, trust: trust.supported),
    "supported_sigma": Product(lambda _, trust: trust.supported_sigma),
    "consistency": Product(lambda maps, _: maps.consistency, fine=False, units="chi^2 per point"),
    "denial": Product(lambda _, trust: trust.denial, fine=False, units="sigma, of a grain under the point"),
    "null_share": Product(lambda _, trust: trust.null_share, fine=False, units="share of the structure around"),
}
"""By their group in the output."""


def read_maps(path: Path, step_nm: float) -> MapFile:
    """``/maps/<El>`` with ``/variance/<El>`` and ``/mask`` where there are any.

    Raises:
        InputFileError: the file holds no such maps, or no element was measured anywhere.
    """
    with opened(path) as file:
        if not isinstance(file.get("maps"), h5py.Group):
            raise ValueError(f"there is no group /maps with a dataset for each element; the file holds {_names(file)}")
        maps, variance = _by_element(file, "maps"), _by_element(file, "variance")
        mask = read_numbers(file, "mask") if "mask" in file else None
        units = {element: _units(file["maps"][element]) for element in maps}
        content = MapFile(counted_maps(maps, step_nm, variance, mask), units)
        if not content.measured:
            raise ValueError(f"no point of {', '.join(maps)} was measured: all are NaN or masked")
        return content


class OutputFile:
    """The file being written; see `written_maps`."""

    def __init__(self, file: Any, coarse: MapFile, scale: int) -> None:
        self._file = file
        self._coarse = coarse
        self._scale = scale

    def write(self, element: str, enhanced: EnhancedMaps, trust: Trust) -> None:
        """Write every product of one element; what stands beside the map is in its attributes."""
        index = enhanced.elements.index(element)
        self._write_maps(element, {group: product.of(enhanced, trust)[index] for group, product in PRODUCTS.items()})
        attributes = self._file["enhanced"][element].attrs
        attributes["supported_period_nm"] = trust.period_nm[index]
        attributes["denied_above"] = trust.denied_above[index]
        attributes["flags"] = "; ".join(trust.flags[index])

    def write_nothing(self, element: str) -> None:
        """Write NaN for an element that was measured nowhere."""
        self._write_maps(element, {})

    def _write_maps(self, element: str, maps: Mapping[str, NDArray[np.float32]]) -> None:
        rows, points = self._coarse.maps.mask.shape
        step_nm = self._coarse.maps.pixel_size_nm
        for group, product in PRODUCTS.items():
            scale = self._scale if product.fine else 1
            nothing = np.full((scale * rows, scale * points), np.nan, np.float32)
            dataset = self._file.require_group(group).create_dataset(element, data=maps.get(group, nothing))
            dataset.attrs["pixel_nm"] = step_nm / scale
            dataset.attrs["units"] = product.units or self._coarse.units[element]


@contextmanager
def written_maps(path: Path, coarse: MapFile, scale: int, lineage: Mapping[str, Any]) -> Iterator[OutputFile]:
    """A new HDF5 file of fine maps that appears under its name when all is written, and not at all otherwise."""
    with appearing(path) as partial, h5py.File(partial, "w") as file:
        for name, value in lineage.items():
            file.attrs[name] = json.dumps(value) if isinstance(value, Mapping) else value
        yield OutputFile(file, coarse, scale)


def check_writable(path: Path, overwrite: bool) -> None:
    """Raise OutputFileError for a path that must not or cannot be written, before any work is done for it."""
    if not path.parent.is_dir():
        raise OutputFileError(f"there is no folder {path.parent} for {path.name}: make it, or choose another")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputFileError(f"{path} exists: choose another name, or pass --overwrite to replace the file")


def check_outputs(read: Iterable[Path], written: Iterable[Path | None], overwrite: bool) -> None:
    """`check_writable` for every path that is given; none may be read too, or be written twice."""
    taken = {path.resolve() for path in read}
    for path in filter(None, written):
        if path.resolve() in taken:
            raise OutputFileError(f"{path} is read or written already: choose another name for what is written")
        taken.add(path.resolve())
        check_writable(path, overwrite)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A path beside, which takes the name of ``path`` at the end and is removed when something went wrong."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _by_element(file: Any, group: str) -> dict[str, NDArray[Any]]:
    if group not in file:
        return {}
    if not isinstance(file[group], h5py.Group):
        raise ValueError(f"/{group} is a dataset: a group with a dataset for each element is needed")
    return {element: read_numbers(file, f"{group}/{element}") for element in file[group]}


def _names(file: Any) -> str:
    return ", ".join(f"/{name}" for name in file) or "nothing"


def _units(dataset: Any) -> str:
    units = dataset.attrs.get("units", "counts")
    return units.decode() if isinstance(units, bytes) else str(units)
