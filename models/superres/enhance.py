"""Counts in, fine maps out: the enhancers without the rest of subprobe."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.scan import Motion
from models.superres.enhancer import EnhancedMaps
from models.superres.enhancers import make_enhancer
from models.xrf.maps import ElementMaps

Map = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]

_WHOLE = 1e-3  # tolerated off a whole number of pixels per step: 0.03 pixels over a map of 30 points


def enhance(
    maps: Mapping[str, Map],
    *,
    probe: Probe,
    step_nm: float,
    pixel_nm: float,
    variance: Mapping[str, Map] | None = None,
    mask: NDArray[Any] | None = None,
    motion: Motion = "fly",
    model: str = "unrolled",
    device: str = "cpu",
) -> EnhancedMaps:
    """Fine maps of counts measured with a known probe, the Python twin of ``subprobe enhance``.

    Args:
        maps: (y, x) counts by element, x along the fast axis; NaN where not measured.
        probe: that the scan was made with.
        step_nm: between points, the same along both axes.
        pixel_nm: of the fine maps; a whole number of them makes a step.
        variance: (y, x) of the counts by element, in counts^2; Poisson, max(counts, 1), for elements without one.
        mask: (y, x), non-zero where measured; default: everywhere.
        motion: ``fly`` if the stage moved along x by a step while a point was counted, ``step`` if it stood.
        model: a name in `models.superres.enhancers.ENHANCERS`.
        device: torch device for those that need one.

    Returns:
        Values and sigma in counts per coarse point, as the maps were.

    Raises:
        ValueError: maps that are no maps or do not fit each other, a step that is no whole number of pixels, no such
            model, or an element that was measured nowhere.
    """
    scale = whole_scale(step_nm, pixel_nm)
    enhancer = make_enhancer(model, device)
    return enhancer.enhance(counted_maps(maps, step_nm, variance, mask), probe, motion, scale)


def whole_scale(step_nm: float, pixel_nm: float) -> int:
    """Fine pixels per step.

    Raises:
        ValueError: they are no whole number, to a thousandth, or less than one.
    """
    for name, length in (("step_nm", step_nm), ("pixel_nm", pixel_nm)):
        if not (np.isfinite(length) and length > 0):
            raise ValueError(f"{name} is {length}: pass a positive number of nm")
    ratio = step_nm / pixel_nm
    scale = max(1, round(ratio))
    if abs(ratio - scale) > _WHOLE:
        raise ValueError(
            f"a step of {step_nm:g} nm holds {ratio:.4g} pixels of {pixel_nm:g} nm, and a whole number is needed: "
            f"pass pixel_nm {step_nm / scale:g}"
        )
    return scale


def counted_maps(
    maps: Mapping[str, Map],
    step_nm: float,
    variance: Mapping[str, Map] | None = None,
    mask: NDArray[Any] | None = None,
) -> ElementMaps:
    """Element maps whose unit is one count, NaN where not measured, from what `enhance` takes.

    Raises:
        ValueError: maps that are no maps or do not fit each other. An element measured nowhere passes here.
    """
    variances = variance or {}
    if not maps:
        raise ValueError("there are no maps: pass the counts of at least one element")
    if strangers := sorted(set(variances) - set(maps)):
        raise ValueError(f"there is a variance of {', '.join(strangers)}, but there are maps only of {', '.join(maps)}")
    shape = np.shape(next(iter(maps.values())))
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"the map of {next(iter(maps))} has shape {shape}: (y, x) is needed, each at least 1")
    measured = np.ones(shape, bool) if mask is None else np.nan_to_num(_checked("mask", mask, shape, "biuf")) != 0
    planes = [_plane(element, counts, variances.get(element), measured) for element, counts in maps.items()]
    return ElementMaps(
        elements=tuple(maps),
        values=np.array([counts for counts, _ in planes]),
        variance=np.array([spread for _, spread in planes]),
        mask=measured,
        pixel_size_nm=step_nm,
        counts_per_unit=np.ones(len(planes), np.float32),
    )


def _plane(
    element: str, counts: Map, variance: Map | None, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Counts and their variance, both NaN wherever one of them is not known."""
    values = _checked(f"map of {element}", counts, mask.shape)
    spread = np.maximum(values, 1) if variance is None else _checked(f"variance of {element}", variance, mask.shape)
    known = mask & np.isfinite(values) & np.isfinite(spread)
    if negative := int(np.count_nonzero(spread[known] < 0)):
        raise ValueError(f"the variance of {element} is negative at {negative} points: it is the square of sigma")
    return np.where(known, values, np.nan).astype(np.float32), np.where(known, spread, np.nan).astype(np.float32)


def _checked(name: str, values: NDArray[Any], shape: tuple[int, ...], kinds: str = "iuf") -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in kinds:
        raise ValueError(f"the {name} has type {array.dtype}: real numbers are needed")
    if array.shape != shape:
        raise ValueError(f"the {name} has shape {array.shape}, the first map {shape}: one scan has one shape")
    return array
