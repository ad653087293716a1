"""Sub-pixel shifts of projections that keep noise and mass and never bring one border in at the other."""

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from models.tomo.geometry import Array, checked_stack
from models.tomo.missing import fill_missing

Stack = NDArray[np.float32]


def shifted(projections: Stack, y_px: ArrayLike, u_px: ArrayLike) -> Stack:
    """Each projection moved towards higher y and u, (angle, y, u); NaN where nothing was measured.

    A pixel is NaN when more than half of it comes from beyond the border or from a pixel that was NaN. Shift the data
    as measured and only once: add the shifts up instead.

    Args:
        projections: (angle, y, u); NaN where not measured.
        y_px, u_px: one per projection, or one for all.

    Raises:
        ValueError: not one finite shift per projection, or one as large as the projection.

    Source: the shift theorem on the even periodic extension, which has no jump at its seam.
    """
    stack = checked_stack(projections, "angle, y, x")
    measured = np.isfinite(stack)
    y, u = (_checked_shifts(shift, len(stack), n) for shift, n in zip((y_px, u_px), stack.shape[1:], strict=True))
    moved = shifted_complete(fill_missing(stack).values, y, u)
    rows = _sources(y, stack.shape[1])
    columns = _sources(u, stack.shape[2])
    for image, known, row, column in zip(moved, measured, rows, columns, strict=True):
        inside = np.logical_and.outer(row >= 0, column >= 0)
        image[~(inside & known[np.ix_(row, column)])] = np.nan
    return moved


def shifted_complete(projections: Stack, y_px: Array, u_px: Array) -> Stack:
    """As `shifted`, of finite projections; beyond the border stands the mirror image of what is before it."""
    return _along_last(_along_last(projections, u_px).swapaxes(1, 2), y_px).swapaxes(1, 2)


def _along_last(stack: Stack, shift_px: Array) -> Stack:
    n = stack.shape[-1]
    even = np.concatenate([stack, stack[..., ::-1]], axis=-1)
    phase = np.exp(-2j * np.pi * np.outer(shift_px, np.fft.rfftfreq(2 * n))).astype(np.complex64)
    moved = scipy.fft.irfft(scipy.fft.rfft(even, axis=-1) * phase[:, None], n=2 * n, axis=-1)
    result: Stack = moved[..., :n]
    return result


def _sources(shift_px: Array, n: int) -> NDArray[np.int64]:
    """(angle, pixel): the pixel that most of each came from; negative where that stands beyond the border."""
    source = np.rint(np.arange(n) - shift_px[:, None]).astype(np.int64)
    return np.where((source >= 0) & (source < n), source, -1)


def _checked_shifts(shift_px: ArrayLike, n_projections: int, width: int) -> Array:
    shifts = np.asarray(shift_px, dtype=np.float64)
    if shifts.shape not in ((), (n_projections,)):
        raise ValueError(f"shifts have shape {shifts.shape} for {n_projections} projections: pass one per projection")
    if not (np.abs(shifts) < width).all():
        raise ValueError(f"a shift reaches {np.abs(shifts).max()} of {width} pixels: nothing would be left in view")
    return np.broadcast_to(shifts, (n_projections,)).astype(np.float64)
