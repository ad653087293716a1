"""Patterns and counts from an HDF5 file, element maps into another."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models.singlepixel.measurement import PatternMeasurement, checked
from models.singlepixel.reconstruct import SinglePixelResult
from services.offline.hdf5 import opened, read_numbers


def read_measurement(path: Path) -> PatternMeasurement:
    """``/patterns`` (N, y, x), ``/counts/<El>`` (N,), perhaps ``/variances/<El>`` (N,) and ``/txm`` (y, x).

    What was not measured is left out, and the measurement's notes say so.

    Raises:
        InputFileError: the file holds no such thing, or its parts do not belong together.
    """
    with opened(path) as file:
        counts = _by_element(file, "counts")
        if not counts:
            raise ValueError(
                f"there is no group /counts with a dataset for each element; the file holds "
                f"{', '.join(f'/{name}' for name in file) or 'nothing'}"
            )
        variances = _by_element(file, "variances") or None
        txm = read_numbers(file, "txm") if "txm" in file else None
        return checked(read_numbers(file, "patterns"), counts, variances, txm)


def write_result(path: Path, result: SinglePixelResult, lineage: Mapping[str, Any]) -> None:
    """``/maps/<El>`` and ``/sigma/<El>`` (y, x), ``/phases/<name>`` where there are any; the rest as attributes."""
    with h5py.File(path, "w") as file:
        for group, planes in (("maps", result.maps), ("sigma", result.sigma), ("phases", result.phase_maps or {})):
            for name, plane in planes.items():
                file.require_group(group).create_dataset(name, data=np.asarray(plane, np.float32))
        for name, value in lineage.items():
            file.attrs[name] = json.dumps(value) if isinstance(value, dict | list | tuple) else value


def _by_element(file: Any, group: str) -> dict[str, Any]:
    if group not in file:
        return {}
    if not isinstance(file[group], h5py.Group):
        raise ValueError(f"/{group} is a dataset: a group with a dataset for each element is needed")
    return {element: read_numbers(file, f"{group}/{element}") for element in file[group]}
