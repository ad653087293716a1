"""Fourier ring and shell correlation of two independent halves, their bit thresholds, and where they cross.

Only halves that share nothing but the specimen tell a resolution: two reconstructions from separate angles or counts.
Halves of interpolated, enhanced or jointly denoised maps share the method's own structure and agree far beyond what was
measured.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FourierCorrelation:
    """Correlation of two arrays by shells of spatial frequency.

    Attributes:
        values: (shell,) for shell k = 0 .. N // 2, N the shortest side.
        n_voxels: (shell,) Fourier pixels or voxels in each shell of the full transform.
        shortest_side: N in pixels; shell k has the frequency k / N cycles per pixel.
    """

    values: Array
    n_voxels: NDArray[np.int64]
    shortest_side: int

    @property
    def frequency_per_px(self) -> Array:
        """(shell,) in cycles per pixel."""
        return np.arange(len(self.values)) / self.shortest_side


@dataclass(frozen=True)
class Resolution:
    """Where a correlation falls below its threshold for good.

    Attributes:
        period_nm: full period of the finest structure that both halves show.
        crossed: False: it never fell below, so that ``period_nm`` is only the sampling's own limit of two pixels.
        criterion: in words.
    """

    period_nm: float
    crossed: bool
    criterion: str

    def __str__(self) -> str:
        relation = "" if self.crossed else "<= "
        limit = "" if self.crossed else " (Nyquist: two pixels)"
        return f"{relation}{self.period_nm:.3g} nm{limit}, {self.criterion}"


def fourier_correlation(
    one: NDArray[np.float32], other: NDArray[np.float32], mask: NDArray[np.float32] | None = None
) -> FourierCorrelation:
    """Re sum(F1 conj(F2)) / sqrt(sum |F1|^2 sum |F2|^2) over each ring (2D) or shell (3D).

    A frequency f belongs to shell floor(N |f| + 1/2): for unequal sides, frequencies and not indices make the shell.

    Args:
        one, other: (y, x) or (z, y, x), finite.
        mask: multiplies both, best with soft edges; None: none.

    Raises:
        ValueError: shapes differ, are not 2D or 3D, or values are not finite.

    Source: Harauz, van Heel, Optik 73 (1986) 146.
    """
    if one.shape != other.shape or one.ndim not in (2, 3):
        raise ValueError(
            f"halves have shapes {one.shape} and {other.shape}: pass two images or two volumes on one grid"
        )
    weight = 1.0 if mask is None else mask
    halves = [np.asarray(half, dtype=np.float64) * weight for half in (one, other)]
    if not all(np.isfinite(half).all() for half in halves):
        raise ValueError("halves have values that are not finite: fill them or leave them out before the comparison")
    shell, multiplicity = fourier_shells(one.shape)
    n_shells = min(one.shape) // 2 + 1
    first, second = (scipy.fft.rfftn(half) for half in halves)

    def summed(terms: Array) -> Array:
        weights = np.broadcast_to(terms * multiplicity, shell.shape)
        sums = np.bincount(shell.ravel(), weights=weights.ravel(), minlength=n_shells)
        return sums[:n_shells].astype(np.float64)

    shared = summed((first * np.conj(second)).real)
    power = np.sqrt(summed(np.abs(first) ** 2) * summed(np.abs(second) ** 2))
    values = np.divide(shared, power, out=np.zeros(n_shells), where=power > 0)
    return FourierCorrelation(values, np.rint(summed(np.ones(1))).astype(np.int64), min(one.shape))


def bit_threshold(n_voxels: ArrayLike, bits: float = 0.5) -> Array:
    """The correlation at which each voxel carries ``bits`` of information: T(n) in closed form.

    Source: van Heel, Schatz, J. Struct. Biol. 151 (2005) 250, equation 17; s = (2^bits - 1) / 2 is the SNR of one half.
    """
    snr = (2**bits - 1) / 2
    root = np.sqrt(np.asarray(n_voxels, dtype=np.float64))
    threshold: Array = (snr + (2 * sqrt(snr) + 1) / root) / (snr + 1 + 2 * sqrt(snr) / root)
    return threshold


def resolution(
    curve: FourierCorrelation, pixel_size_nm: float, bits: float = 0.5, n_eff_factor: float = 1.0
) -> Resolution:
    """The first shell from low frequencies where the correlation falls below the threshold, with the shell after it.

    Args:
        curve: of two independent halves.
        pixel_size_nm: of their grid.
        bits: 0.5 is usual, 1 is strict.
        n_eff_factor: independent share of the Fourier voxels: 1 is usual; 0.5 counts Friedel pairs once; less for an
            object that fills only part of the box.

    Raises:
        ValueError: bits or n_eff_factor make no sense.
    """
    if not bits > 0 or not 0 < n_eff_factor <= 1:
        raise ValueError(
            f"bits is {bits} and n_eff_factor {n_eff_factor}: pass a positive one, and one above 0 and at most 1"
        )
    criterion = f"{bits:g}-bit threshold, effective voxels {n_eff_factor:g}"
    return crossing(curve, bit_threshold(n_eff_factor * curve.n_voxels, bits), pixel_size_nm, criterion)


def crossing(curve: FourierCorrelation, threshold: Array | float, pixel_size_nm: float, criterion: str) -> Resolution:
    """The first shell from low frequencies below a threshold with the shell after it, interpolated linearly.

    Args:
        curve: correlation by shells.
        threshold: (shell,), or one for all.
        pixel_size_nm: of the grid.
        criterion: the threshold in words.
    """
    excess: Array = curve.values - threshold
    below = excess < 0
    crossings = np.flatnonzero(below[1:-1] & below[2:]) + 1
    if not len(crossings):
        return Resolution(2 * pixel_size_nm, False, criterion)
    first = int(crossings[0])
    # Shell 0 is the mean, which tells of no resolution: a curve below from the start resolves only the whole field.
    shell = 1.0 if first == 1 else first - 1 + excess[first - 1] / (excess[first - 1] - excess[first])
    return Resolution(curve.shortest_side * pixel_size_nm / float(shell), True, criterion)


def fourier_shells(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], Array]:
    """Shell of each voxel of a half transform, and how many voxels of the full one it stands for (1 or 2)."""
    frequencies = [*(np.fft.fftfreq(n) for n in shape[:-1]), np.fft.rfftfreq(shape[-1])]
    squared: Array = np.square(np.stack(np.meshgrid(*frequencies, indexing="ij"))).sum(axis=0)
    shell = np.floor(min(shape) * np.sqrt(squared) + 0.5).astype(np.int64)
    multiplicity = np.full(shape[-1] // 2 + 1, 2.0)
    multiplicity[0] = 1.0
    if shape[-1] % 2 == 0:
        multiplicity[-1] = 1.0
    return shell, multiplicity
