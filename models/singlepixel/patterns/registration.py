"""How far each pattern stands beside its reference, by phase correlation to a fraction of a pixel.

Source: Li et al., PNAS 120 (2023), Materials and Methods (patterns with and without the sample are aligned by phase
correlation); Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33 (2008) 156 (the matrix Fourier transform at the peak).
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from models.correlation_peak import peaks

Array = NDArray[np.float64]
Stack = NDArray[np.float32]
Spectra = NDArray[np.complex64]

LEAST_PX = 16
"""Of a side: below, the taper leaves too little of a pattern."""
_ENVELOPE_SHARE = 0.1  # of the shorter side: width of what counts as envelope, which no diffuser moves
_TAPER_SHARE = 0.1  # of a side at each end
_FAINT = 0.02  # of the mean: below, counts are noise and their logarithm is held back
_NOISE_SHARE = 1.0  # of the mean amplitude: phases of frequencies far below it count by their amplitude
_REACH_PX = 1.0
_PER_PIXEL = 20
_ROUNDS = 3
_LEAST_TO_MEAN = 12  # patterns of which a mean holds what stands still, and little of each
_AT_ONCE = 64


def register_patterns(stack: NDArray[np.floating], reference: NDArray[np.floating], most_px: float = 8.0) -> Array:
    """(N, 2) shifts (y, x) by which each pattern has moved towards higher y and x from its reference.

    Logarithms are compared, without their slow part and, where references are several, without their mean: neither
    brightness counts then, nor what stands still, an envelope or a sample. Phases count by their amplitude up to a
    level, so that noise of weak frequencies does not.

    Args:
        stack: (N, y, x) patterns as measured.
        reference: (N, y, x) of the same patterns where they should stand, or (y, x) of all.
        most_px: largest shift looked for, along either axis.

    Raises:
        ValueError: shapes differ, sides are too short, or values are no numbers.
    """
    _check(stack, reference)
    window = np.outer(*(_taper(n) for n in stack.shape[1:])).astype(np.float32)
    differ = reference.ndim == 3 and len(stack) >= _LEAST_TO_MEAN
    stands, stood = (_mean_log(s) if differ else np.zeros_like(window) for s in (stack, reference))
    shifts = np.empty((len(stack), 2))
    for first in range(0, len(stack), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        moved = _detail(stack[part], stands)
        still = _detail(reference[part] if reference.ndim == 3 else reference[None], stood)
        shifts[part] = _aligned(moved, np.broadcast_to(still, moved.shape), window, most_px)
    return shifts


def shifted(stack: NDArray[np.floating], shifts: NDArray[np.floating]) -> Stack:
    """(N, y, x) each pattern moved by its (y, x) towards higher y and x, between pixels by a Fourier phase.

    What comes in at a border is the pattern mirrored there.

    Raises:
        ValueError: there is another number of shifts than of patterns.
    """
    if stack.ndim != 3 or shifts.shape != (len(stack), 2):
        raise ValueError(f"{stack.shape} patterns and {shifts.shape} shifts: (N, y, x) and (N, 2) are needed")
    height, width = stack.shape[1:]
    fy = scipy.fft.fftfreq(2 * height)[:, None].astype(np.float32)
    fx = scipy.fft.rfftfreq(2 * width)[None].astype(np.float32)
    out = np.empty(stack.shape, np.float32)
    for first in range(0, len(stack), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        y, x = np.asarray(shifts[part], np.float32).T[..., None, None]
        even = np.pad(np.asarray(stack[part], np.float32), ((0, 0), (0, height), (0, width)), mode="symmetric")
        turned = scipy.fft.rfft2(even) * np.exp(-2j * np.pi * fy * y).astype(np.complex64)
        turned *= np.exp(-2j * np.pi * fx * x).astype(np.complex64)
        out[part] = scipy.fft.irfft2(turned, even.shape[1:])[:, :height, :width]
    return out


def _check(stack: NDArray[np.floating], reference: NDArray[np.floating]) -> None:
    if stack.ndim != 3 or reference.shape not in (stack.shape, stack.shape[1:]):
        raise ValueError(
            f"patterns have shape {stack.shape}, references {reference.shape}: pass (N, y, x), and the same or (y, x)"
        )
    if min(stack.shape[1:]) < LEAST_PX:
        raise ValueError(f"patterns have {stack.shape[1:]} pixels: at least {LEAST_PX} a side are needed to register")
    if not np.isfinite(stack).all() or not np.isfinite(reference).all():
        raise ValueError("patterns hold values that are no numbers: leave those patterns out")


def _taper(n: int) -> Array:
    """1 within, falling to 0 at both ends by a cosine."""
    edge = max(1, round(_TAPER_SHARE * n))
    distance = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    falling: Array = np.sin(0.5 * np.pi * np.minimum(distance / edge, 1)) ** 2
    return falling


def _mean_log(stack: NDArray[np.floating]) -> Stack:
    """(y, x) of what all patterns share."""
    total = np.zeros(stack.shape[1:])
    for first in range(0, len(stack), _AT_ONCE):
        total += _logs(stack[first : first + _AT_ONCE]).sum(0, dtype=np.float64)
    return (total / len(stack)).astype(np.float32)


def _logs(patterns: NDArray[np.floating]) -> Stack:
    """Of brightness over its mean."""
    values = np.asarray(patterns, np.float32)
    bright = np.maximum(values.mean((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(np.log(np.maximum(values / bright, _FAINT)), np.float32)


def _detail(patterns: NDArray[np.floating], shared: Stack) -> Stack:
    """Log brightness without what is shared and without its slow part."""
    logs = _logs(patterns) - shared
    width = _ENVELOPE_SHARE * min(shared.shape)
    slow: Stack = gaussian_filter(logs, (0, width, width), mode="reflect")
    return logs - slow


def _aligned(moved: Stack, still: Stack, window: Stack, most_px: float) -> Array:
    """(N, 2) by rounds that move the reference under the taper, which by itself draws the peak towards zero."""
    spectra = scipy.fft.rfft2(moved * window)
    shifts = np.zeros((len(moved), 2))
    for number in range(_ROUNDS):
        under = still if number == 0 else shifted(still, shifts)
        cross = spectra * np.conj(scipy.fft.rfft2(under * window))
        shifts += _peaks(cross, window.shape, most_px if number == 0 else _REACH_PX)
        shifts = np.clip(shifts, -most_px, most_px)
    return shifts


def _peaks(cross: Spectra, shape: tuple[int, ...], most_px: float) -> Array:
    """(N, 2) where the inverse transform of the phases is highest."""
    amplitude = np.abs(cross)
    level = _NOISE_SHARE * amplitude.mean((1, 2), keepdims=True)
    phases = cross / np.maximum(amplitude + level, np.finfo(np.float32).tiny)
    reach = [min(int(np.ceil(most_px)), (n - 1) // 2) for n in shape]
    return np.clip(np.stack(peaks(phases, shape, reach, _PER_PIXEL), 1), -most_px, most_px)
