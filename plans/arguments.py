"""Arguments of a plan as people pass them, checked and turned into rasters, elements and angles."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from models.physics.xray import emission
from models.scan import AngleOrder, FlyScan, Motion, ordered_angles
from plans.devices.beamline import Beamline
from plans.devices.stage import Stage


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


def mapped_elements(beamline: Beamline, elements: Sequence[str] | None) -> tuple[str, ...]:
    """The elements to map, those of the specimen where none are named.

    Raises:
        ValueError: one of them is unknown, or the beam does not excite it.
    """
    if isinstance(elements, str) or (elements is not None and not elements):
        raise ValueError(f"elements is {elements!r}: pass a list of symbols, for example ['Zn', 'Mn']")
    chosen = tuple(elements or beamline.specimen.elements)
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
