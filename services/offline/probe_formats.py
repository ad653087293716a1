"""Probes in HDF5 as other programs write them: what a file holds says which program wrote it."""

from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from models.physics.photon import J_PER_KEV, far_field_pixel_nm
from services.offline.found_probe import (
    LARGEST_BYTES,
    FoundProbe,
    Number,
    Pixel,
    energy_of_wavelength,
    modes_of,
    named_energy_kev,
    named_pixel,
    one_number,
)

Reader = Callable[[Any], FoundProbe]


def numbers_of(*places: Any) -> Number:
    """Numbers as attributes of the first place that has them, or as datasets without axes in it."""

    def number(name: str) -> float | None:
        for place in places:
            if name in place.attrs:
                return one_number(place.attrs[name], f"the attribute {name} of {place.name}")
            if isinstance(place, h5py.Group) and isinstance(place.get(name), h5py.Dataset):
                return one_number(_values(place, name), f"{place.name.rstrip('/')}/{name}")
        return None

    return number


def _values(file: Any, name: str) -> NDArray[Any]:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise ValueError(f"{name} is no dataset with values")
    if found.nbytes > LARGEST_BYTES:
        raise ValueError(f"{name} has shape {found.shape}: no probe is as large")
    return np.asarray(found[()])


def _product(file: Any) -> FoundProbe:
    """ptychodus and pty-chi; a probe that has no pixel of its own shares the object's, as ptychodus has it."""
    modes, left_out = modes_of(_values(file, "probe"), "/probe")
    number = numbers_of(*(file[name] for name in ("probe", "/", "object") if name in file))
    return FoundProbe("/probe", modes, named_pixel(number), named_energy_kev(number), left_out)


def _cdtools(file: Any) -> FoundProbe:
    """The columns of probe_basis are the steps of rows and columns in space, in metres."""
    basis = _values(file, "probe_basis")
    if basis.shape != (3, 2) or basis.dtype.kind != "f":
        raise ValueError(f"/probe_basis is {basis.dtype} of shape {basis.shape}: real numbers (3, 2) are needed")
    y_nm, x_nm = (float(side) * 1e9 for side in np.linalg.norm(basis.astype(np.float64), axis=0))
    modes, left_out = modes_of(_values(file, "probe"), "/probe")
    wavelength_m = numbers_of(file)("wavelength")
    energy_kev = energy_of_wavelength(wavelength_m) if wavelength_m else None
    if "state_dict/fourier_probe" in file and np.any(_values(file, "state_dict/fourier_probe")):
        modes = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(modes, axes=(-2, -1))), axes=(-2, -1))
    return FoundProbe("/probe", modes, Pixel(y_nm, x_nm, "probe_basis"), energy_kev, left_out)


def _ptypy(file: Any) -> FoundProbe:
    """A .ptyr: one storage a scan, (mode, y, x), with its pixel (y, x) in metres and its energy in keV."""
    storages = [name for name, node in file["content/probe"].items() if isinstance(node, h5py.Group)]
    if not storages:
        raise ValueError("/content/probe holds no storage")
    place = file["content/probe"][storages[0]]
    key = f"{place.name}/data"
    modes, left_out = modes_of(_values(place, "data"), key)
    pixel = None
    if "_psize" in place:
        sides = np.broadcast_to(np.ravel(_values(place, "_psize")), (2,))
        y_m, x_m = (one_number(side, f"{place.name}/_psize") for side in sides)
        pixel = Pixel(y_m * 1e9, x_m * 1e9, "_psize")
    if len(storages) > 1:
        left_out = f"{storages[0]}, first of {len(storages)} storages"
    return FoundProbe(key, modes, pixel, numbers_of(place)("_energy") or None, left_out)


def _illumination(path: str) -> Reader:
    """CXI with the probe beside its source: SHARP, and ptychodus, which adds the pixel."""

    def read(file: Any) -> FoundProbe:
        modes, left_out = modes_of(_values(file, path), f"/{path}")
        energy_kev = _cxi_energy_kev(file)
        pixel = named_pixel(numbers_of(file["entry_1/ptychodus"])) if "entry_1/ptychodus" in file else None
        if pixel is None and energy_kev is not None:
            pixel = _far_field_pixel(file, energy_kev, modes.shape[-2:])
        return FoundProbe(f"/{path}", modes, pixel, energy_kev, left_out)

    return read


def _pynx(entry: str) -> Reader:
    """CXI with the probe as a result, its pixel beside it."""

    def read(file: Any) -> FoundProbe:
        place, key = file[f"{entry}/probe"], f"/{entry}/probe/data"
        modes, left_out = modes_of(_values(place, "data"), key)
        y_m, x_m = (numbers_of(place)(name) for name in ("y_pixel_size", "x_pixel_size"))
        pixel = None if y_m is None or x_m is None else Pixel(y_m * 1e9, x_m * 1e9, "y_pixel_size, x_pixel_size")
        return FoundProbe(key, modes, pixel, _cxi_energy_kev(file, entry), left_out)

    return read


def _cxi_energy_kev(file: Any, entry: str = "entry_1") -> float | None:
    """CXI 1.6: SI units throughout, so that the energy of a photon is in joules."""
    energy_j = numbers_of(file)(f"{entry}/instrument_1/source_1/energy")
    return energy_j / J_PER_KEV if energy_j else None


def _far_field_pixel(file: Any, energy_kev: float, shape: tuple[int, ...]) -> Pixel | None:
    """Of the object's plane."""
    detector = "entry_1/instrument_1/detector_1"
    distance_m, y_m, x_m = (
        numbers_of(file)(f"{detector}/{name}") for name in ("distance", "y_pixel_size", "x_pixel_size")
    )
    if not (distance_m and y_m and x_m):
        return None
    frames = file.get(f"{detector}/data")
    if isinstance(frames, h5py.Dataset) and frames.ndim >= 2 and frames.shape[-2:] != shape:
        return None  # cropped or padded since: its pixel is another one
    y_nm, x_nm = (
        far_field_pixel_nm(energy_kev, distance_m, n, side_m * 1e6) for n, side_m in zip(shape, (y_m, x_m), strict=True)
    )
    return Pixel(y_nm, x_nm, "the detector's distance and pixel")


_SOURCE = "entry_1/instrument_1/source_1"
HDF5_FORMATS: Mapping[str, Reader] = {
    f"{_SOURCE}/illumination": _illumination(f"{_SOURCE}/illumination"),
    f"{_SOURCE}/probe": _illumination(f"{_SOURCE}/probe"),
    "entry_last/probe/data": _pynx("entry_last"),
    "entry_1/probe/data": _pynx("entry_1"),
    "content/probe": _ptypy,
    "probe_basis": _cdtools,
    "probe": _product,
}
"""By the dataset or group that gives a format away, first come first taken."""
