"""Volumes written into an HDF5 file, each with everything that made it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from services.offline.map_files import appearing
from services.offline.projection_files import ProjectionFile
from services.offline.tilt_geometry import TiltGeometry
from services.offline.volume_account import ElementVolume


class VolumeFile:
    """The file being written; see `written_volumes`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, element: str, done: ElementVolume, attributes: Mapping[str, Any]) -> None:
        """``/volume/<El>`` (z, y, x) and, of iterations, ``/history/<El>/objective``, ``misfit`` and ``change``."""
        dataset = self._file.require_group("volume").create_dataset(element, data=done.volume)
        dataset.attrs["dims"] = ["z", "y", "x"]
        set_attributes(dataset, attributes)
        history = done.provenance.history if done.provenance else None
        for name, values in vars(history).items() if history else ():
            if values:
                self._file[f"history/{element}/{name}"] = np.asarray(values, np.float64)


@contextmanager
def written_volumes(
    path: Path, source: ProjectionFile, geometry: TiltGeometry, lineage: Mapping[str, Any]
) -> Iterator[VolumeFile]:
    """A new file that appears under its name when all is written, and not at all otherwise."""
    with appearing(path) as partial, h5py.File(partial, "w") as file:
        set_attributes(file, lineage)
        file["angles_deg"] = source.angles_deg
        _write_shifts(file, source.shape[0], geometry)
        yield VolumeFile(file)
        file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")


def set_attributes(node: Any, attributes: Mapping[str, Any]) -> None:
    """Attributes as HDF5 has them: mappings as JSON, nothing for None."""
    for name, value in attributes.items():
        if value is not None:
            node.attrs[name] = json.dumps(value) if isinstance(value, Mapping) else value


def _write_shifts(file: Any, n_angles: int, geometry: TiltGeometry) -> None:
    """``/shifts/y_px`` and ``x_px``, one for each projection of the input; NaN for those left out."""
    alignment = geometry.alignment
    if alignment is None:
        return
    group = file.create_group("shifts")
    for name, shifts in (("y_px", alignment.y_px), ("x_px", alignment.u_px)):
        values = np.full(n_angles, np.nan)
        values[geometry.used] = shifts
        group[name] = values
    group.attrs["meaning"] = "each projection was moved by so many pixels towards higher y and x"
    group.attrs["residuals"] = alignment.residuals
    group.attrs["stopped"] = alignment.stopped
