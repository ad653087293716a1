"""Files as other programs read them: by the standard's own validator where it is installed, and by its letter."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from services.nexus.file import nexus_file
from services.nexus.tomo import TomoSeries, write_tomo
from services.nexus.volume import Described, write_volume
from services.offline.projection_files import find_projections

ANGLES_DEG = (-60.0, 0.0, 60.0)
SHAPE = (4, 5)
METADATA = {
    "source": "enhanced",
    "enhancer": {"name": "lmmse", "digest": "0badcafe"},
    "software": {"subprobe": "0.1.0"},
    "algorithm": "ospml_hybrid",
    "parameters": {"beta": 0.1, "n_subsets": 9},
    "centre_px": 2.5,
    "centre_sigma_px": None,
    "voxel_size_nm": 30.0,
}
SERIES = TomoSeries("a series", "cathode", ANGLES_DEG, SHAPE, 30.0, "ug/cm^2", 10.0, METADATA)

VALUES = np.arange(100, dtype=np.float32).reshape(5, 4, 5)
VOLUME = Described("cathode", VALUES.shape, "g/cm^3", METADATA)

_NX_INT_ONLY = 1
"""Warnings for an NXtomo entry of ours: that detector/data is no NX_INT, for areal densities are no integers."""


def _frames(scale: float) -> Iterator[tuple[Any, Any]]:
    for index in range(len(ANGLES_DEG)):
        yield np.full(SHAPE, scale * index, np.float32), np.full(SHAPE, 0.5, np.float32)


@pytest.fixture
def tomo(tmp_path: Path) -> Path:
    path = tmp_path / "series.nxs"
    with nexus_file(path) as file:
        for element, scale in (("Zn", 1.0), ("Mn", 2.0)):
            write_tomo(file, element, SERIES, _frames(scale))
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume.nxs"
    with nexus_file(path) as file:
        write_volume(file, "Zn", VOLUME, iter((VALUES[:2], VALUES[2:4], VALUES[4:])))
    return path


def _plotted(path: Path) -> Any:
    """What a viewer opens: ``default`` from the root to an NXdata, and its ``signal``.

    Source: NeXus manual v2026.01, "Associating plottable data using attributes applied to the NXdata group".
    """
    file = h5py.File(path)
    group = file
    while group.attrs["NX_class"] != "NXdata":
        group = group[group.attrs["default"]]
    return group


def test_a_viewer_finds_the_stack_with_its_axes(tomo: Path) -> None:
    plot = _plotted(tomo)
    signal = plot[plot.attrs["signal"]]
    assert signal.name == "/Zn/data/data"
    assert (signal.shape, signal.attrs["units"]) == ((3, *SHAPE), "ug/cm^2")
    for axis, n in zip(plot.attrs["axes"], signal.shape, strict=True):
        assert plot[axis].shape == (n,)
        assert plot[axis].attrs["units"] in {"deg", "nm"}
    assert plot["data_errors"].shape == signal.shape


def test_an_entry_has_what_nxtomo_requires(tomo: Path) -> None:
    """Source: NXtomo.nxdl.xml, NeXus definitions v2026.01: everything without minOccurs="0"."""
    with h5py.File(tomo) as file:
        for entry in file.values():
            classes = {"instrument": "NXinstrument", "instrument/detector": "NXdetector", "sample": "NXsample"}
            for name, nx_class in (classes | {"data": "NXdata"}).items():
                assert entry[name].attrs["NX_class"] == nx_class
            assert entry.attrs["NX_class"] == "NXentry"
            assert entry["definition"][()] == b"NXtomo"
            assert entry["sample/name"][()] == b"cathode"
            assert not entry["instrument/detector/image_key"][()].any()
            assert entry["sample/rotation_angle"][()].tolist() == list(ANGLES_DEG)
            for link, target in (
                ("data/data", "instrument/detector/data"),
                ("data/rotation_angle", "sample/rotation_angle"),
                ("data/image_key", "instrument/detector/image_key"),
            ):
                assert entry[link] == entry[target]
                assert entry[link].attrs["target"] == entry[target].name


def test_the_offline_reconstruction_reads_our_entries_back(tomo: Path) -> None:
    found = find_projections(tomo)
    assert found.elements == ("Mn", "Zn")
    assert (found.angles_deg.tolist(), found.pixel_nm) == (list(ANGLES_DEG), 30.0)
    assert found.units["Zn"] == "ug/cm^2"
    assert found.lineage == {"model": "lmmse", "model_digest": "0badcafe"}
    np.testing.assert_array_equal(found.read("Mn")[:, 0, 0], [0, 2, 4])


def test_a_volume_stands_about_its_axis_and_tells_how_it_was_made(volume: Path) -> None:
    plot = _plotted(volume)
    np.testing.assert_array_equal(plot["data"][()], VALUES)
    assert plot["data"].attrs["units"] == "g/cm^3"
    assert list(plot.attrs["axes"]) == ["z", "y", "x"]
    assert plot["x"][()].tolist() == [-60, -30, 0, 30, 60]
    assert plot["y"][()].tolist() == [-45, -15, 15, 45]
    process = plot.parent["reconstruction"]
    assert (process["program"][()], process["version"][()]) == (b"subprobe", b"0.1.0")
    assert process["parameters/beta"][()] == 0.1
    assert process["parameters/model"][()] == b"lmmse"
    assert json.loads(process["metadata/data"][()])["enhancer"]["digest"] == "0badcafe"


@pytest.mark.parametrize("slabs", [(VALUES[:2],), (VALUES, VALUES[:1])])
def test_slabs_that_are_not_the_volume_are_refused(tmp_path: Path, slabs: tuple[Any, ...]) -> None:
    with nexus_file(tmp_path / "volume.nxs") as file, pytest.raises(ValueError, match="of a volume of 5: pass all"):
        write_volume(file, "Zn", VOLUME, slabs)


def test_the_standard_s_validator_finds_no_fault(tomo: Path, volume: Path) -> None:
    validate = pytest.importorskip(
        "nexusformat.nexus.validate", reason="no nexusformat: pip install nexusformat to run NeXus' validator"
    )
    for entry in ("/Zn", "/Mn"):
        assert validate.validate_application(str(tomo), entry) == (_NX_INT_ONLY, 0)
    for path in (tomo, volume):
        assert validate.validate_file(str(path)) == (0, 0)
