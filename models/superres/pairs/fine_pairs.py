"""Recordings from a coarse and a fine scan of one view: placed, registered, each with the kernel that read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.flyscan import matched_kernel, matched_probe, scan_kernel
from models.physics.probe import Probe, shifted
from models.scan import Motion
from models.superres.pairs.recording import FineScan, Recording
from models.superres.pairs.registration import Registration, register
from models.xrf.maps import ElementMaps


@dataclass(frozen=True)
class FinePairs:
    """What became of one view.

    Attributes:
        recordings: by element.
        left_out: elements that make no pair, with the reason.
        registration: of the fine scan on the coarse one; it is in the recordings' ``fine_scan.kernel``.
    """

    recordings: dict[str, Recording]
    left_out: dict[str, str]
    registration: Registration


def pairs_of_view(
    coarse: ElementMaps,
    fine: ElementMaps,
    probe: Probe,
    motion: Motion,
    scale: int,
    centre_nm: tuple[float, float] = (0.0, 0.0),
    elements: Iterable[str] | None = None,
) -> FinePairs:
    """Pairs of one view. The fine readings stay as they were measured: the shift goes into their kernel.

    Args:
        coarse: fitted maps of the coarse scan; all their elements tell the shift.
        fine: fitted maps of the fine scan, of the same elements.
        probe: that both were made with.
        motion: of both scans.
        scale: fine pixels of the network per coarse step: see `usable_scale`.
        centre_nm: (y, x) of the middle of the fine raster from that of the coarse one, by the stage.
        elements: to make pairs of; None: all.

    Raises:
        UnregisteredError: the two cannot be laid on each other.
        ValueError: their steps, elements or scale do not belong together.
    """
    ratio = round(coarse.pixel_size_nm / fine.pixel_size_nm)
    if scale % ratio:
        raise ValueError(f"scale is {scale}: a multiple of {ratio}, the fine steps in a coarse one, is needed")
    placed = _placed(fine, coarse, ratio, centre_nm)
    found = register(placed, coarse, probe, motion)
    kernel = matched_kernel(probe, coarse.pixel_size_nm, scale, motion)
    fine_kernel = moved_kernel(probe, fine.pixel_size_nm, scale // ratio, motion, found.shift_nm)
    recordings: dict[str, Recording] = {}
    left_out: dict[str, str] = {}
    for index, element in enumerate(coarse.elements):
        if elements is not None and element not in elements:
            continue
        (values, variance, mask), (fine_values, fine_variance, fine_mask) = (
            _readings(maps, index) for maps in (coarse, placed)
        )
        scan = FineScan(fine_variance, fine_mask, fine_kernel, scale // ratio)
        try:
            recordings[element] = Recording(values, variance, mask, fine_values, kernel, scale, scan)
        except ValueError as error:
            left_out[element] = str(error)
    return FinePairs(recordings, left_out, found)


def usable_scale(step_nm: float, fine_step_nm: float, scales: Iterable[int], wished: int) -> int:
    """The scale at which a network can learn from such a fine scan: the wished one if that does, else the largest.

    Raises:
        ValueError: none does; says which fine steps would.
    """
    known = sorted(scales)
    usable = [
        scale
        for scale in known
        if (ratio := round(step_nm / fine_step_nm)) >= 2
        and abs(step_nm - ratio * fine_step_nm) < 1e-6 * step_nm
        and scale % ratio == 0
    ]
    if not usable:
        ratios = sorted({ratio for scale in known for ratio in range(2, scale + 1) if scale % ratio == 0})
        steps = ", ".join(f"{step_nm / ratio:g}" for ratio in ratios)
        raise ValueError(
            f"the fine step is {fine_step_nm:g} nm beside coarse ones of {step_nm:g} nm: scan with {steps} nm for a "
            f"network that enhances by {', '.join(map(str, known))}"
        )
    return wished if wished in usable else usable[-1]


def moved_kernel(
    probe: Probe, step_nm: float, scale: int, motion: Motion, shift_nm: tuple[float, float]
) -> NDArray[np.float32]:
    """`models.physics.flyscan.scan_kernel` of a scan that stands off its place by ``shift_nm`` (y, x)."""
    matched, binning = matched_probe(probe, step_nm, scale)
    shift_px = np.asarray(shift_nm) / matched.pixel_size_nm
    room = ceil(np.abs(shift_px).max())
    intensity = np.pad(matched.intensity().astype(np.float64), room)
    moved = np.maximum(shifted(intensity, shift_px).real, 0)
    return scan_kernel(moved, scale, motion, binning, matched.moved_nm / matched.pixel_size_nm)


def _readings(maps: ElementMaps, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Values, variance and mask; zeros where nothing was measured."""
    values, variance = maps.values[index], maps.variance[index]
    known = maps.mask & np.isfinite(values) & np.isfinite(variance)
    return np.where(known, values, 0), np.where(known, variance, 0), known


def _placed(fine: ElementMaps, coarse: ElementMaps, ratio: int, centre_nm: tuple[float, float]) -> ElementMaps:
    """The fine maps over the coarse field of view, to the nearest fine step; what they do not cover is masked."""
    shape = (ratio * coarse.mask.shape[0], ratio * coarse.mask.shape[1])
    rows, columns = (
        round(off / fine.pixel_size_nm + (whole - n) / 2)
        for off, whole, n in zip(centre_nm, shape, fine.mask.shape, strict=True)
    )
    return ElementMaps(
        elements=fine.elements,
        values=np.stack([_moved(plane, rows, columns, shape, np.nan) for plane in fine.values]),
        variance=np.stack([_moved(plane, rows, columns, shape, np.nan) for plane in fine.variance]),
        mask=_moved(fine.mask, rows, columns, shape, False),
        pixel_size_nm=fine.pixel_size_nm,
        counts_per_unit=fine.counts_per_unit,
    )


def _moved(plane: NDArray[Any], rows: int, columns: int, shape: tuple[int, int], empty: float) -> NDArray[Any]:
    whole = np.full(shape, empty, plane.dtype)
    to, source = [], []
    for offset, n, size in zip((rows, columns), plane.shape, shape, strict=True):
        first, last = max(0, offset), min(size, offset + n)
        to.append(slice(first, max(first, last)))
        source.append(slice(first - offset, max(first, last) - offset))
    whole[tuple(to)] = plane[tuple(source)]
    return whole
