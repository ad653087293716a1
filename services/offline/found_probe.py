"""What a file holds of a probe, before it is centred; and the names by which programs call a pixel and an energy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.photon import HC_KEV_NM

LARGEST_BYTES = 2**31
"""Of an array in a file: a 4096-pixel window with sixteen modes. What is larger is no probe."""

# Axes (y, x) of a pixel and, without its unit, what the programs of APS and their neighbours call its sides. What no
# unit follows is not read: in one program `pixel_size` is metres, in another nanometres.
_SIDES = (
    ("probe_pixel_height", "probe_pixel_width"),
    ("pixel_height", "pixel_width"),
    ("probe_pixel_size", "probe_pixel_size"),
    ("pixel_size", "pixel_size"),
    ("obj_pixel_size", "obj_pixel_size"),
    ("object_pixel_height", "object_pixel_width"),
    ("object_pixel_size", "object_pixel_size"),
    ("pixel", "pixel"),
)
_UNITS_NM = {"nm": 1.0, "um": 1e3, "m": 1e9}
_ENERGIES_KEV = {
    "energy_kev": 1.0,
    "energy_keV": 1.0,
    "photon_energy_eV": 1e-3,
    "probe_energy_eV": 1e-3,
    "energy_eV": 1e-3,
    "energy_ev": 1e-3,
}


@dataclass(frozen=True)
class Pixel:
    """Its sides, and which names in the file say so."""

    y_nm: float
    x_nm: float
    said_by: str


@dataclass(frozen=True)
class FoundProbe:
    """A probe in any window, as its file holds it.

    Attributes:
        key: where in the file.
        modes: (mode, y, x), complex.
        pixel: None where the file does not say it.
        energy_kev: None where the file does not say it.
        left_out: which part of several this is, in words; empty for the whole.
        description: for people, as the file has it; empty where it has none.
        moved_nm: way of the stage along x that it holds already, where the file says one.
    """

    key: str
    modes: NDArray[np.complexfloating]
    pixel: Pixel | None
    energy_kev: float | None
    left_out: str = ""
    description: str = ""
    moved_nm: float = 0.0


Number = Callable[[str], float | None]
"""The number of that name, unchecked; None where there is none."""


def modes_of(values: NDArray[Any], key: str) -> tuple[NDArray[np.complexfloating], str]:
    """Incoherent modes (mode, y, x), and what was left out, in words.

    Of orthogonal probe relaxation (OPR mode, mode, y, x) the first is taken: pty-chi and ptychodus keep the mean probe
    there, and what varies from point to point in the others. Longer shapes, such as tike's, may lead with ones only.

    Raises:
        ValueError: no wavefield, or not of this shape.
    """
    if values.dtype.kind != "c":
        raise ValueError(f"{key} has type {values.dtype}: the complex wavefield is needed, not its amplitude")
    if values.ndim < 2 or not values.size or any(n != 1 for n in values.shape[:-4]):
        raise ValueError(f"{key} has shape {values.shape}: (y, x), (mode, y, x) or (OPR mode, mode, y, x) is needed")
    stack = values.reshape((1,) * (4 - values.ndim) + values.shape[-4:])
    modes = stack[0]
    if not np.isfinite(modes).all():
        raise ValueError(f"{key} holds {np.count_nonzero(~np.isfinite(modes))} pixels that are no numbers")
    return modes, f"first of {len(stack)} OPR modes" if len(stack) > 1 else ""


def named_pixel(number: Number) -> Pixel | None:
    """By the first of the usual names that is there."""
    for y_name, x_name in _SIDES:
        for unit, nm in _UNITS_NM.items():
            y, x = number(f"{y_name}_{unit}"), number(f"{x_name}_{unit}")
            if y is not None and x is not None:
                names = dict.fromkeys((f"{y_name}_{unit}", f"{x_name}_{unit}"))
                return Pixel(y * nm, x * nm, ", ".join(names))
    return None


def named_energy_kev(number: Number) -> float | None:
    """Zero is not said: ptychodus writes it where nobody entered an energy."""
    for name, kev in _ENERGIES_KEV.items():
        if value := number(name):
            return value * kev
    wavelength_m = number("wavelength_m")
    return energy_of_wavelength(wavelength_m) if wavelength_m else None


def energy_of_wavelength(wavelength_m: float) -> float:
    """In keV."""
    return HC_KEV_NM / (wavelength_m * 1e9)


def one_number(value: Any, name: str) -> float:
    """Of an attribute or a dataset, in whatever shape it was written; its range is judged where it is used.

    Raises:
        ValueError: it is several numbers or none.
    """
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {value}: one number is needed")
    return float(array.item())
