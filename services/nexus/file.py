"""A NeXus file and the groups that entries of every kind share.

Source: NeXus manual v2026.01, "NeXus: Design" and the base classes NXroot, NXentry, NXdata, NXprocess, NXnote.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from services.catalog.provenance import software_versions


@contextmanager
def nexus_file(path: Path) -> Iterator[Any]:
    """A new file with its NXroot, whose ``default`` leads viewers to the first entry written."""
    with h5py.File(path, "w") as file:
        file.attrs["NX_class"] = "NXroot"
        file.attrs["file_time"] = now()
        file.attrs["creator"] = "subprobe"
        file.attrs["HDF5_Version"] = h5py.version.hdf5_version
        file.attrs["h5py_version"] = h5py.version.version
        yield file


def new_entry(file: Any, name: str, title: str) -> Any:
    """An NXentry; the first of a file is its default."""
    entry = new_group(file, name, "NXentry")
    file.attrs.setdefault("default", name)
    entry["title"] = title
    return entry


def new_group(parent: Any, name: str, nx_class: str) -> Any:
    """A group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def write_field(group: Any, name: str, value: Any, units: str | None = None) -> Any:
    """A field, with its units where it has any."""
    group[name] = value
    if units:
        group[name].attrs["units"] = units
    return group[name]


def write_process(entry: Any, name: str, metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """An NXprocess: parameters as fields that people read, and all that is known as one JSON document."""
    process = new_group(entry, name, "NXprocess")
    process["program"] = "subprobe"
    process["version"] = str(metadata.get("software", {}).get("subprobe") or software_versions()["subprobe"])
    group = new_group(process, "parameters", "NXparameters")
    enhancer = metadata.get("enhancer", {}) if metadata.get("source") != "fitted" else {}
    made_by = {"model": enhancer.get("name"), "model_digest": enhancer.get("digest")}
    for key, value in {**parameters, **made_by}.items():
        if value is not None:
            group[key] = value
    note = new_group(process, "metadata", "NXnote")
    note["type"] = "application/json"
    note["description"] = "everything subprobe knows of how these numbers came about"
    note["data"] = json.dumps(metadata, default=_plain)


def now() -> str:
    """ISO 8601, as NX_DATE_TIME wants it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
