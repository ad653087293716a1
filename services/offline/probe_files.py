"""Probes from files: our own HDF5 and .npz, and those of the ptychography programs in `probe_formats`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe, shifted
from services.offline.found_probe import FoundProbe, Pixel
from services.offline.hdf5 import opened, read_number, read_numbers
from services.offline.probe_archives import NPZ_FORMATS, opened_npz
from services.offline.probe_formats import HDF5_FORMATS, Reader

_ENERGY_KEV = 10.0  # where the file does not say; the enhancement does not depend on it
_SQUARE = 1e-3  # relative: sides of a pixel that differ by less move no edge of a 1000-pixel window by a pixel
_LEAST_NM, _LARGEST_NM = 0.01, 1e5  # outside, a number stands in another unit than its name says


def read_probe(
    path: Path,
    pixel_nm: float | None = None,
    energy_kev: float | None = None,
    *,
    needs_energy: bool = False,
    moved_nm: float | None = None,
) -> Probe:
    """A probe from HDF5 or ``.npz``, centred, in a square window with an even side.

    Our HDF5 holds ``/amplitude`` (with ``/phase`` in radians, or all zero) or ``/intensity``, each (y, x) or incoherent
    modes (mode, y, x), and the attribute ``pixel_nm`` on the dataset or the root, perhaps ``energy_kev``. Intensities
    become one mode of phase zero: a scan reads their sum and nothing of the phase. Our ``.npz`` is `save_probe`'s, and
    `probe_formats` reads ptychodus, pty-chi, tike, PtyPy, cdtools, PyNX and CXI; of OPR modes they give the first.

    Args:
        path: what the file holds, not its name, says how to read it.
        pixel_nm: instead of what the file says, if anything.
        energy_kev: likewise.
        needs_energy: whether a file that does not say its energy is refused; else 10 keV stand for it.
        moved_nm: way of the stage along x that is in the probe already, instead of what the file says.

    Raises:
        InputFileError: the file holds no probe; the message says what it lacks and which option gives it.
    """
    if zipfile.is_zipfile(path) or path.suffix == ".npz":
        with opened_npz(path) as archive:
            found = _read(archive, NPZ_FORMATS)
            return _probe(found, path.name, pixel_nm, energy_kev, needs_energy, moved_nm)
    with opened(path) as file:
        found = _read(file, {**_OURS, **HDF5_FORMATS})
        return _probe(found, path.name, pixel_nm, energy_kev, needs_energy, moved_nm)


def _read(file: Any, formats: Mapping[str, Reader]) -> FoundProbe:
    for name, read in formats.items():
        if name in file:
            return read(file)
    raise ValueError(f"there is no probe ({', '.join(formats)}); the file holds {', '.join(file) or 'nothing'}")


def _probe(
    found: FoundProbe,
    name: str,
    pixel_nm: float | None,
    energy_kev: float | None,
    needs_energy: bool,
    moved_nm: float | None,
) -> Probe:
    if not np.any(found.modes):
        raise ValueError(f"{found.key} holds nothing but zeros")
    side_nm = _side_nm(found) if pixel_nm is None else float(pixel_nm)
    kev = _energy_kev(found, needs_energy) if energy_kev is None else float(energy_kev)
    described = found.description or ", ".join(filter(None, (name, found.left_out)))
    moved = found.moved_nm if moved_nm is None else moved_nm
    return Probe.centred(_in_even_square(found.modes), side_nm, kev, described, moved)


def _side_nm(found: FoundProbe) -> float:
    pixel = found.pixel
    if pixel is None:
        raise ValueError(
            f"the file does not say how large a pixel of {found.key} is: pass --probe-pixel-nm (or write pixel_nm)"
        )
    for side_nm in (pixel.y_nm, pixel.x_nm):
        if not _LEAST_NM <= side_nm <= _LARGEST_NM:
            raise ValueError(f"a pixel of {found.key} has {side_nm:g} nm by {pixel.said_by}: pass --probe-pixel-nm")
    if abs(pixel.y_nm - pixel.x_nm) > _SQUARE * pixel.x_nm:
        raise ValueError(
            f"a pixel of {found.key} has {pixel.y_nm:g} x {pixel.x_nm:g} nm (y, x) by {pixel.said_by}: "
            "square ones are needed; resample the probe, or pass --probe-pixel-nm"
        )
    return float(f"{(pixel.y_nm + pixel.x_nm) / 2:.12g}")  # 7.5e-9 m are 7.5 nm, not 7.500000000000001


def _energy_kev(found: FoundProbe, needed: bool) -> float:
    if found.energy_kev is None and needed:
        raise ValueError(f"the file does not say the energy of {found.key}: pass --probe-energy-kev")
    return _ENERGY_KEV if found.energy_kev is None else found.energy_kev


def _of_amplitude(file: Any) -> FoundProbe:
    return _of_ours(file, "amplitude", _amplitude(file))


def _of_intensity(file: Any) -> FoundProbe:
    return _of_ours(file, "intensity", _mode_of_intensity(file))


def _of_ours(file: Any, name: str, modes: NDArray[np.complex128]) -> FoundProbe:
    pixel_nm = read_number("pixel_nm", file[name], file)
    pixel = None if pixel_nm is None else Pixel(pixel_nm, pixel_nm, "pixel_nm")
    energy_kev, moved_nm = (read_number(what, file[name], file) for what in ("energy_kev", "moved_nm"))
    return FoundProbe(f"/{name}", modes, pixel, energy_kev, moved_nm=moved_nm or 0.0)


def _amplitude(file: Any) -> NDArray[np.complex128]:
    amplitude = _stacked(file, "amplitude")
    phase = _stacked(file, "phase") if "phase" in file else np.zeros_like(amplitude)
    if phase.shape != amplitude.shape:
        raise ValueError(f"/phase has shape {phase.shape}, /amplitude {amplitude.shape}: they must be the same")
    return np.asarray(_in_even_square(amplitude) * np.exp(1j * _in_even_square(phase)))


def _mode_of_intensity(file: Any) -> NDArray[np.complex128]:
    """The intensity is centred before its root is taken: the root has kinks at zeros, a moved one would ring there."""
    intensity = _stacked(file, "intensity")
    if intensity.min() < 0:
        raise ValueError(f"/intensity falls to {intensity.min():g}: photons per pixel are never negative")
    return np.sqrt(_centred(_in_even_square(intensity.sum(axis=0, keepdims=True)))).astype(np.complex128)


def _in_even_square(modes: NDArray[Any]) -> NDArray[Any]:
    """Modes (mode, y, x) with zeros around, so that the window is square with an even side; its middle stays."""
    side = max(modes.shape[1:])
    side += side % 2
    before = [side // 2 - n // 2 for n in modes.shape[1:]]
    around = [(first, side - n - first) for first, n in zip(before, modes.shape[1:], strict=True)]
    return np.pad(modes, [(0, 0), *around])


def _centred(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moved by fractions of a pixel so that the phase of the lowest frequency, `Probe`'s centroid, says the middle."""
    spectrum = np.fft.fft2(intensity)
    side = intensity.shape[-1]
    shift_px = [side / 2 + np.angle(lowest) * side / (2 * np.pi) for lowest in (spectrum[0, 1, 0], spectrum[0, 0, 1])]
    return np.maximum(shifted(intensity, shift_px).real, 0)


def _stacked(file: Any, name: str) -> NDArray[np.float64]:
    values = read_numbers(file, name).astype(np.float64)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(f"/{name} has shape {values.shape}: (y, x) or (mode, y, x) is needed")
    if not np.isfinite(values).all():
        raise ValueError(f"/{name} holds {np.count_nonzero(~np.isfinite(values))} pixels that are no numbers")
    return values.reshape(-1, *values.shape[-2:])


_OURS: Mapping[str, Reader] = {"amplitude": _of_amplitude, "intensity": _of_intensity}
