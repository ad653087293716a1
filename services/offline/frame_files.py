"""Diffraction frames with their positions from HDF5: ours, CXI, and what ptychodus and HXN's own programs take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.physics.photon import J_PER_KEV, far_field_pixel_nm
from models.ptychography.frames import WIDEST_PX, Frames
from services.offline.found_probe import Number, energy_of_wavelength
from services.offline.hdf5 import opened, read_numbers
from services.offline.probe_formats import numbers_of

FlyAxis = Literal["x", "y"]

_NM = {"nm": 1.0, "um": 1e3, "m": 1e9}
_NARROWEST_PX = 1.0
_DETECTOR = "entry_1/instrument_1/detector_1"


@dataclass(frozen=True)
class FrameFile:
    """Frames that can be used, and which points were left out, in words."""

    frames: Frames
    left_out: str = ""


@dataclass(frozen=True, eq=False)
class _Found:
    """As it stands in a file; pixels of a mask count where it is True."""

    counts: NDArray[Any]
    positions: NDArray[np.float64]
    unit: str
    pixel_nm: float | None
    energy_kev: float | None
    mask: NDArray[np.bool_] | None = None
    background: NDArray[np.float64] | None = None


Reader = Callable[[Any], _Found]


def read_frames(
    path: Path,
    fly_px: float,
    fly_axis: FlyAxis = "x",
    *,
    pixel_nm: float | None = None,
    energy_kev: float | None = None,
) -> FrameFile:
    """Frames and positions of a file.

    Ours holds ``/frames`` (point, n, n) counts and ``/positions_px``, ``_nm``, ``_um`` or ``_m`` (point, 2), y and x of
    the beam on the specimen, growing with rows and columns of a frame; the attribute ``pixel_nm``, of the object, or
    ``distance_m`` and ``detector_pixel_um``; ``energy_kev``; perhaps ``/mask`` (n, n), non-zero where the detector
    counts, and ``/background`` (n, n) or (frame, n, n). The direct beam may stand in the middle or in the corners.

    Pixels that hold the largest number of their integer type, or less than nothing, or NaN, in any frame are masked,
    as detectors mark them so. Points without a position, or without any count, are left out.

    Args:
        path: what the file holds, not its name, says how to read it.
        fly_px: way of the stage during an exposure, in pixels of the object; 0 for a step scan.
        fly_axis: along which.
        pixel_nm: of the object, instead of what the file says.
        energy_kev: likewise.

    Raises:
        InputFileError: there is something else, or something is missing; the message says what.
    """
    with opened(path) as file:
        for name, read in _FORMATS.items():
            if name in file:
                found = read(file)
                return _usable(found, (0.0, fly_px) if fly_axis == "x" else (fly_px, 0.0), pixel_nm, energy_kev)
        raise ValueError(f"there are no frames ({', '.join(_FORMATS)}); the file holds {', '.join(file) or 'nothing'}")


def _usable(found: _Found, fly_px: tuple[float, float], pixel_nm: float | None, energy_kev: float | None) -> FrameFile:
    counts = found.counts
    if counts.ndim != 3 or found.positions.shape != (len(counts), 2):
        raise ValueError(
            f"frames have shape {counts.shape} and positions {found.positions.shape}: "
            "(point, n, n) and (point, 2) are needed"
        )
    pixel_nm, energy_kev = pixel_nm or found.pixel_nm, energy_kev or found.energy_kev
    if pixel_nm is None:
        raise ValueError(
            "the file does not say the object's pixel: pass --pixel-nm, wavelength * distance / (n * detector's pixel)"
        )
    if energy_kev is None:
        raise ValueError("the file does not say the energy: pass --energy-kev")
    positions = found.positions if found.unit == "px" else found.positions * _NM[found.unit] / pixel_nm
    seen = _counting(counts) if found.mask is None else _counting(counts) & _as_frame(found.mask, counts, "mask")
    measured = np.isfinite(positions).all(1) & (np.where(seen, counts, 0).sum((1, 2)) > 0)
    _check_span(positions[measured], found.unit)
    turned = _beam_in_corner(np.where(seen, counts[measured], 0).mean(0))
    background = None if found.background is None else _as_frame(found.background, counts, "background")
    frames = Frames(
        counts=_middled(np.where(seen, counts[measured], 0).astype(np.float32), turned),
        positions_px=np.asarray(positions[measured], np.float64),
        fly_px=fly_px,
        pixel_size_nm=float(pixel_nm),
        energy_kev=float(energy_kev),
        mask=None if seen.all() else _middled(seen, turned),
        background=None if background is None else _middled(background.astype(np.float32), turned),
    )
    missing = len(counts) - len(frames.counts)
    return FrameFile(frames, f"{missing} of {len(counts)} points without a position or a count" if missing else "")


def _counting(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """(n, n) pixels that hold a number of photons in every frame that holds any."""
    if counts.dtype.kind in "iu":
        marked = counts == np.iinfo(counts.dtype).max
        return np.asarray(~(marked | (counts < 0)).any(0))
    empty = ~np.isfinite(counts).any((1, 2))
    return np.asarray(((np.isfinite(counts) & (counts >= 0)) | empty[:, None, None]).all(0))


def _as_frame(plane: NDArray[Any], counts: NDArray[Any], name: str) -> NDArray[Any]:
    if plane.shape != counts.shape[1:]:
        raise ValueError(f"{name} has shape {plane.shape}, a frame {counts.shape[1:]}")
    return plane


def _check_span(positions_px: NDArray[np.float64], unit: str) -> None:
    if len(positions_px):
        span = float(np.ptp(positions_px, axis=0).max())
        if not _NARROWEST_PX <= span <= WIDEST_PX:
            raise ValueError(
                f"positions in {unit} span {span:.3g} pixels of the object: are unit and pixel right? "
                "Ours are /positions_px, _nm, _um or _m"
            )


def _beam_in_corner(mean: NDArray[np.float64]) -> bool:
    """By the phase of the lowest frequency, the centroid on a ring: 0 for the corner, n / 2 for the middle."""
    spectrum = np.fft.fft2(mean)
    return bool(spectrum[0, 1].real + spectrum[1, 0].real > 0)


def _middled(planes: NDArray[Any], turned: bool) -> NDArray[Any]:
    return np.asarray(np.fft.fftshift(planes, axes=(-2, -1))) if turned else planes


def _ours(name: str) -> Reader:
    def read(file: Any) -> _Found:
        unit = next((unit for unit in ("px", *_NM) if f"positions_{unit}" in file), None)
        if unit is None:
            raise ValueError("there are no positions: /positions_px, _nm, _um or _m (point, 2), y and x, are needed")
        counts = read_numbers(file, name)
        background = read_numbers(file, "background") if "background" in file else None
        number = _number_of(file, name)
        energy_kev = number("energy_kev")
        return _Found(
            counts,
            np.asarray(read_numbers(file, f"positions_{unit}"), np.float64),
            unit,
            number("pixel_nm")
            or _far_field_pixel_nm(energy_kev, number("distance_m"), number("detector_pixel_um"), counts),
            energy_kev,
            read_numbers(file, "mask") != 0 if "mask" in file else None,
            background.mean(0) if background is not None and background.ndim == 3 else background,
        )

    return read


def _cxi(name: str) -> Reader:
    """CXI 1.6 in SI units; a mask's zeros count; translations are x, y, z of each point."""

    def read(file: Any) -> _Found:
        places = ("entry_1/data_1", "entry_1/sample_1/geometry_1", _DETECTOR)
        place = next((f"{one}/translation" for one in places if f"{one}/translation" in file), None)
        if place is None:
            raise ValueError(f"there is no translation in {', '.join(places)}")
        translations = np.asarray(read_numbers(file, place), np.float64)
        if translations.ndim != 2 or translations.shape[1] < 2:
            raise ValueError(f"/{place} has shape {translations.shape}: (point, 3), x, y and z, is needed")
        counts, mask = read_numbers(file, name), f"{_DETECTOR}/mask"
        energy_j = _number_of(file, "entry_1/instrument_1/source_1")("energy")
        energy_kev = None if energy_j is None else energy_j / J_PER_KEV
        number = _number_of(file, _DETECTOR)
        side_m = number("y_pixel_size") or number("x_pixel_size")
        pixel_nm = _far_field_pixel_nm(energy_kev, number("distance"), side_m and side_m * 1e6, counts)
        seen = read_numbers(file, mask) == 0 if mask in file else None
        return _Found(counts, translations[:, 1::-1], "m", pixel_nm, energy_kev, seen)

    return read


def _ptychodus(file: Any) -> _Found:
    """``dp`` beside the positions of a product; its pixel is the object's."""
    positions = [read_numbers(file, f"probe_position_{axis}_m") for axis in "yx"]
    number = _number_of(file, "object", "probe")
    pixel_m = number("pixel_height_m") or number("obj_pixel_size_m") or number("probe_pixel_size_m")
    energy_ev = number("probe_energy_eV") or number("photon_energy_eV")
    return _Found(
        read_numbers(file, "dp"),
        np.stack(positions, 1).astype(np.float64),
        "m",
        pixel_m and pixel_m * 1e9,
        energy_ev and energy_ev / 1e3,
    )


def _hxn(file: Any) -> _Found:
    """NSLS-II HXN: square roots of counts, points (2, point) x and y in micrometres."""
    amplitudes, points = read_numbers(file, "diffamp"), read_numbers(file, "points")
    number = _number_of(file)
    wave_nm = number("lambda_nm")
    energy_kev = None if wave_nm is None else energy_of_wavelength(wave_nm * 1e-9)
    pixel_nm = _far_field_pixel_nm(energy_kev, number("z_m"), number("ccd_pixel_um"), amplitudes)
    positions = np.asarray(points, np.float64)[:2][::-1].T
    return _Found(np.asarray(amplitudes, np.float64) ** 2, positions, "um", pixel_nm, energy_kev)


def _far_field_pixel_nm(
    energy_kev: float | None, distance_m: float | None, pixel_um: float | None, frames: NDArray[Any]
) -> float | None:
    if not (energy_kev and distance_m and pixel_um):
        return None
    return far_field_pixel_nm(energy_kev, distance_m, frames.shape[-1], pixel_um)


def _number_of(file: Any, *names: str) -> Number:
    """Positive numbers in the first of these places that has them, of the root last."""
    number = numbers_of(*(file[name] for name in names if name in file), file)

    def positive(name: str) -> float | None:
        value = number(name)
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} is {value:g}: a positive number is needed")
        return value

    return positive


_FORMATS: Mapping[str, Reader] = {
    "entry_1/data_1/data": _cxi("entry_1/data_1/data"),
    f"{_DETECTOR}/data": _cxi(f"{_DETECTOR}/data"),
    "diffamp": _hxn,
    "dp": _ptychodus,
    "frames": _ours("frames"),
    "diffraction": _ours("diffraction"),
}
"""By the dataset that gives a format away, first come first taken."""
