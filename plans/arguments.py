"""Arguments of a plan as people pass them, checked and turned into rasters, elements and angles."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Protocol

import numpy as np

from models.phantoms.specimens import Specimen
from models.physics.xray import emission, is_seen
from models.scan import AngleOrder, FlyScan, Motion, ordered_angles
from plans.devices.beamline import Beamline
from plans.devices.stage import Stage

LARGEST_STEP = 0.5
"""Of the lit extent (90 % of the photons): at least half of it must be lit again by the next frame."""
USUAL_STEP, USUAL_LINES = 0.22, 20
"""Step in shares of the lit extent, and rows and points. Of the twin's star, 400 frames at 30, 45 and 60 nm (shares of
0.22, 0.33, 0.43) gave the probe back with a correlation of 0.998, 0.979 and 0.970 (5 free modes, 60 epochs)."""
FRAME_DWELL_S = 0.02
FRAME_PHOTONS = 1e5
"""On the specimen: recovery gains little from more, and no pixel of the camera comes near its 16 bits."""
FEWEST_LINES = 4
"""Rows and points: fewer frames leave probe and object undetermined."""


class SeenSpecimen(Protocol):
    """A specimen in a beam."""

    @property
    def specimen(self) -> Specimen:
        """What is to be measured."""
        ...

    @property
    def energy_kev(self) -> float:
        """Of the beam."""
        ...


def flown_raster(
    stage: Stage,
    fov_um: Sequence[float],
    step_nm: float,
    dwell_s: float,
    motion: Motion,
    snake: bool = False,
    centre_um: Sequence[float] = (0.0, 0.0),
) -> FlyScan:
    """The raster asked for.

    Raises:
        ValueError: it makes no sense, or the stage does not reach that far.
    """
    height_um, width_um = _pair("fov_um", fov_um)
    scan = FlyScan.over(
        (height_um, width_um), float(step_nm), float(dwell_s), motion, bool(snake), _pair("centre_um", centre_um)
    )
    stage.check_reach(scan)
    return scan


def overlapping_raster(
    beamline: Beamline,
    fov_um: Sequence[float] | None,
    step_nm: float | None,
    dwell_s: float,
    motion: Motion,
    centre_um: Sequence[float] = (0.0, 0.0),
    line_seed: int = 0,
) -> FlyScan:
    """A raster of unequal lines for ptychography, 20 x 20 points that overlap well where nothing else is asked for.

    Raises:
        ValueError: it makes no sense, frames would overlap too little, or the stage does not reach that far.
    """
    extent_nm = beamline.probe.extent_nm()
    if step_nm is None:
        step_nm = max(1.0, float(round(USUAL_STEP * extent_nm)))
    if fov_um is None:
        fov_um = (USUAL_LINES * step_nm * 1e-3,) * 2
    regular = flown_raster(beamline.stage, fov_um, step_nm, dwell_s, motion, snake=True, centre_um=centre_um)
    if step_nm > LARGEST_STEP * extent_nm:
        raise ValueError(
            f"step_nm is {step_nm:g} with a probe that lights {extent_nm:.0f} nm: neighbouring frames must overlap, "
            f"pass at most {LARGEST_STEP * extent_nm:.0f}"
        )
    if min(regular.shape) < FEWEST_LINES:
        raise ValueError(
            f"fov_um is {list(fov_um)}, {regular.shape[0]} x {regular.shape[1]} points: "
            f"pass at least {FEWEST_LINES} along either side"
        )
    scan = regular.with_unequal_lines(line_seed)
    beamline.stage.check_reach(scan)
    return scan


def filter_transmission(beamline: Beamline, dwell_s: float, photons: float) -> float:
    """Of the filters that leave so many photons on the specimen in a dwell.

    Raises:
        ValueError: the beam has not that many.
    """
    available = beamline.flux_hz * dwell_s
    if not (isfinite(photons) and 0 < photons <= available):
        raise ValueError(
            f"photons is {photons:g}: the beam has {available:.3g} in dwell_s of {dwell_s:g}, pass a positive number "
            f"up to that or a longer dwell_s"
        )
    return photons / available


def mapped_elements(beamline: SeenSpecimen, elements: Sequence[str] | None) -> tuple[str, ...]:
    """The elements to map, those of the specimen that the detector sees where none are named.

    Raises:
        ValueError: one of them is unknown, or the beam does not excite it.
    """
    if isinstance(elements, str) or (elements is not None and not elements):
        raise ValueError(f"elements is {elements!r}: pass a list of symbols, for example ['Zn', 'Mn']")
    known = beamline.specimen.elements
    chosen = tuple(elements or [element for element in known if is_seen(element, beamline.energy_kev)])
    if not chosen:
        raise ValueError(f"nothing of {', '.join(known)} is seen at {beamline.energy_kev:g} keV: name elements")
    for element in chosen:
        emission(element, beamline.energy_kev)
    return chosen


def series_angles(angles_deg: Sequence[float]) -> tuple[float, ...]:
    """The angles of a series.

    Raises:
        ValueError: there are none, or one is no finite number.
    """
    if isinstance(angles_deg, int | float | str) or not len(angles_deg):
        raise ValueError(f"angles_deg is {angles_deg!r}: pass a list of angles, for example [0, 7.5, 15]")
    angles = tuple(float(angle) for angle in angles_deg)
    if not all(isfinite(angle) for angle in angles):
        raise ValueError(f"angles_deg has entries that are no finite numbers: {angles}")
    return angles


def measured_indices(n_angles: int, order: AngleOrder, angle_indices: Sequence[int] | None) -> list[int]:
    """Which angles to measure, in which order.

    Raises:
        ValueError: an index is not in the series, or comes twice.
    """
    indices = ordered_angles(n_angles, order)
    if angle_indices is None:
        return indices
    asked = {int(index) for index in angle_indices}
    if not asked or len(asked) != len(angle_indices) or not asked <= set(indices):
        raise ValueError(
            f"angle_indices is {list(angle_indices)}: pass indices from 0 to {n_angles - 1}, each at most once"
        )
    return [index for index in indices if index in asked]


def plain(value: Any) -> Any:
    """An argument as JSON knows it: numbers, strings and lists of them, whatever numpy they came as."""
    return np.asarray(value).tolist()


def _pair(name: str, values: Sequence[float]) -> tuple[float, float]:
    if isinstance(values, int | float | str) or len(values) != 2:
        raise ValueError(f"{name} is {values!r}: pass two numbers, (vertical, horizontal)")
    return float(values[0]), float(values[1])
