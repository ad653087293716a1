"""Probes from files: intensity or amplitude and phase in HDF5, or our own .npz."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe, load_probe
from services.offline.hdf5 import InputFileError, opened, read_number, read_numbers

_ENERGY_KEV = 10.0  # where the file does not say; the enhancement does not depend on it


def read_probe(path: Path) -> Probe:
    """A probe from HDF5 or ``.npz``, centred, in a square window with an even side.

    HDF5 holds ``/amplitude`` (with ``/phase`` in radians, or all zero) or ``/intensity``, each (y, x) or incoherent
    modes (mode, y, x), and the attribute ``pixel_nm`` on the dataset or the root, perhaps ``energy_kev``. Intensities
    become one mode of phase zero: a scan reads their sum and nothing of the phase.

    Raises:
        InputFileError: the file is no such file; the message says what it lacks.
    """
    if path.suffix == ".npz":
        try:
            return load_probe(path)
        except (OSError, ValueError) as error:
            raise InputFileError(str(error)) from error
    with opened(path) as file:
        name = "amplitude" if "amplitude" in file else "intensity"
        if name not in file:
            raise ValueError(f"there is no /intensity or /amplitude; the file holds {', '.join(file) or 'nothing'}")
        modes = _amplitude(file) if name == "amplitude" else _mode_of_intensity(file)
        pixel_nm = read_number("pixel_nm", file[name], file)
        if pixel_nm is None:
            raise ValueError(f"the attribute pixel_nm is on neither /{name} nor the root: the size of a pixel in nm")
        energy_kev = read_number("energy_kev", file[name], file) or _ENERGY_KEV
        return Probe.centred(modes, pixel_nm, energy_kev, path.name)


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


def _in_even_square(modes: NDArray[np.float64]) -> NDArray[np.float64]:
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
    f = np.fft.fftfreq(side)
    ramp = np.exp(-2j * np.pi * (f[:, None] * shift_px[0] + f * shift_px[1]))
    return np.maximum(np.fft.ifft2(spectrum * ramp).real, 0)


def _stacked(file: Any, name: str) -> NDArray[np.float64]:
    values = read_numbers(file, name).astype(np.float64)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(f"/{name} has shape {values.shape}: (y, x) or (mode, y, x) is needed")
    if not np.isfinite(values).all():
        raise ValueError(f"/{name} holds {np.count_nonzero(~np.isfinite(values))} pixels that are no numbers")
    return values.reshape(-1, *values.shape[-2:])
