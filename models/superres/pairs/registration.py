"""Where a fine scan stands on the coarse one of the same view, from the two of them: no marker, no truth."""

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from models.physics.flyscan import matched_kernel
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.coarse import CoarseMap, coarse_maps
from models.superres.lmmse import LmmseEnhancer
from models.xrf.maps import ElementMaps

MOST_STEPS = 2.0
"""Coarse steps along either axis that are searched: a stage that errs by more has scanned another place."""
_LEAST_POINTS = 4  # along what is left of a coarse map when its border is not looked at
_MOST_SIGMA_STEPS = 0.1  # of a coarse step: 0.4 fine pixels at scale 4
_MOST_MISMATCH = 0.3  # of the coarse map's structure
_RESOLVED = 0.75  # of the probe's width: pixels of the estimate are about as large, or fine steps
_MEASURED_SHARE = 0.75  # of the fine points under a coarse one
_ROUNDS = 12
_SETTLED_PX = 1e-4

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


class UnregisteredError(ValueError):
    """A fine and a coarse map cannot be laid on each other; the message says why."""


@dataclass(frozen=True)
class Registration:
    """How a fine map lies on its coarse one.

    Attributes:
        shift_nm: (y, x) by which the fine map is to be moved towards higher y and x.
        sigma_nm: (y, x), one standard deviation of it.
        chi_squared: per coarse point, of the coarse map against the fine one blurred as the coarse scan blurs.
        mismatch: share of the coarse map's structure that stays unexplained beyond noise.
    """

    shift_nm: tuple[float, float]
    sigma_nm: tuple[float, float]
    chi_squared: float
    mismatch: float


def register(
    fine: ElementMaps, coarse: ElementMaps, probe: Probe, motion: Motion, most_steps: float = MOST_STEPS
) -> Registration:
    """The shift at which the fine map, read as the coarse scan reads, explains the coarse map best.

    Weighted least squares over all elements, so that each counts by its significance: at every whole pixel first,
    then to the minimum by Gauss-Newton. What goes through the coarse scan is the linear estimate from the fine one,
    `lmmse`: where rows lie further apart than the probe resolves they alias, and interpolating the readings would move
    them by a tenth of a step; and where there is nothing but noise it is flat and tells no shift.

    Args:
        fine: maps whose middle is, by the stage, that of ``coarse``; a whole number of its pixels makes a coarse one.
        coarse: maps of the same elements over the same field of view.
        probe: of both scans.
        motion: of both scans.
        most_steps: largest shift looked for, in coarse steps along either axis.

    Raises:
        UnregisteredError: the maps do not tell their shift to a tenth of a step, differ, or stand further apart.
        ValueError: the maps are not of one field of view and the same elements.

    Source: Gauss-Newton and its covariance, Nocedal and Wright, Numerical Optimization (2006), section 10.3.
    """
    ratio = _checked_ratio(fine, coarse)
    parts = max(1, round(fine.pixel_size_nm / (_RESOLVED * min(probe.fwhm_nm()))))
    border, reach = ceil(most_steps), round(most_steps * ratio * parts)
    if min(coarse.mask.shape) - 2 * border < _LEAST_POINTS:
        least = _LEAST_POINTS + 2 * border
        raise UnregisteredError(f"the coarse map has {coarse.mask.shape} points: {least} along each axis are needed")
    kernel = matched_kernel(probe, coarse.pixel_size_nm, ratio * parts, motion)
    estimates = LmmseEnhancer().enhance(fine, probe, motion, parts).values
    triples = zip(estimates, coarse_maps(fine), coarse_maps(coarse), strict=True)
    looked_at = _within(coarse.mask.shape, border)
    compared = [_Compared(estimate, kernel, one, other, looked_at) for estimate, one, other in triples]
    start = _best_whole_step(compared, reach)
    if np.abs(start).max() >= reach:
        raise UnregisteredError(
            f"they fit best {most_steps:g} coarse steps apart, the most that is looked for: too little is "
            "seen, or not one place was scanned"
        )
    return _judged(compared, _refined(compared, start), fine.pixel_size_nm / parts, coarse.pixel_size_nm)


class _Compared:
    """One element: its coarse points with their weights, and what the fine map says they read at any shift.

    Args:
        estimate: fine map; a whole number of its pixels makes a coarse step.
        kernel: of the coarse scan on these pixels.
        fine, coarse: readings of the two scans.
        looked_at: (y, x) of the coarse points.
    """

    def __init__(
        self,
        estimate: NDArray[np.float32],
        kernel: NDArray[np.float32],
        fine: CoarseMap,
        coarse: CoarseMap,
        looked_at: NDArray[np.bool_],
    ) -> None:
        self.coarse = coarse.values
        self._ratio = len(estimate) // len(coarse.values)
        even = _even(estimate.astype(np.float64))
        fy, fx = (np.asarray(np.fft.fftfreq(n), np.float64) for n in even.shape)
        self._fy, self._fx = fy[:, None], fx[None, :]
        self._spectrum: Spectrum = np.fft.fft2(even) * _through(kernel, self._ratio, even.shape)
        per_coarse = len(fine.values) // len(coarse.values)
        known = _block_mean(fine.measured.astype(np.float64), per_coarse) >= _MEASURED_SHARE
        used = looked_at & coarse.measured & known
        noise = _block_mean(fine.variance, per_coarse) / per_coarse
        self.weight = np.where(used, 1 / (coarse.variance + noise), 0)
        self.n_points = int(used.sum())

    def misfits(self, reach: int) -> Array:
        """Sum of squares at every whole shift: (y, x) from -reach to +reach fine pixels."""
        said = np.pad(self._real(self._spectrum, 1), reach, mode="symmetric")
        rows, points = self.coarse.shape
        found = np.zeros((2 * reach + 1, 2 * reach + 1))
        for y, x in product(range(-reach, reach + 1), repeat=2):
            top, left = reach - y, reach - x
            at = said[top :: self._ratio, left :: self._ratio][:rows, :points]
            found[y + reach, x + reach] = np.sum(self.weight * (self.coarse - at) ** 2)
        return found

    def at(self, shift_px: Array) -> tuple[Array, Array]:
        """Residuals (y, x) at a shift, and what they lose as it grows along y and along x, (2, y, x)."""
        moved = self._spectrum * np.exp(-2j * np.pi * (self._fy * shift_px[0] + self._fx * shift_px[1]))
        said = self._real(moved, self._ratio)
        slopes = [self._real(-2j * np.pi * f * moved, self._ratio) for f in (self._fy, self._fx)]
        return self.coarse - said, np.array(slopes)

    def structure(self) -> float:
        """Weighted sum of squares of the coarse map about its mean."""
        mean = np.sum(self.weight * self.coarse) / max(float(self.weight.sum()), 1e-300)
        return float(np.sum(self.weight * (self.coarse - mean) ** 2))

    def _real(self, spectrum: Spectrum, every: int) -> Array:
        height, width = (self._ratio * n for n in self.coarse.shape)
        return np.asarray(np.fft.ifft2(spectrum).real[:height:every, :width:every])


def _even(values: Array) -> Array:
    """The map and its mirror images, which has no jump at its seam."""
    twice = np.concatenate([values, values[::-1]], 0)
    return np.concatenate([twice, twice[:, ::-1]], 1)


def _through(kernel: NDArray[np.float32], scale: int, shape: tuple[int, ...]) -> Spectrum:
    """Of a fine map into the same, by `models.physics.flyscan.scan_kernel`."""
    rows, columns = ((np.arange(len(kernel)) - (len(kernel) - scale) // 2) % n for n in shape)
    wrapped = np.zeros(shape)
    np.add.at(wrapped, (rows[:, None], columns[None, :]), kernel)
    spectrum: Spectrum = np.fft.fft2(wrapped).conj()
    return spectrum


def _best_whole_step(compared: list[_Compared], reach: int) -> Array:
    misfit = np.sum([element.misfits(reach) for element in compared], axis=0)
    best = np.unravel_index(int(np.argmin(misfit)), misfit.shape)
    return np.array(best, np.float64) - reach


def _refined(compared: list[_Compared], start: Array) -> Array:
    shift = start.copy()
    for _ in range(_ROUNDS):
        normal, gradient, _ = _normal_equations(compared, shift)
        change = np.clip(np.linalg.lstsq(normal, gradient, rcond=None)[0], -0.5, 0.5)
        shift = np.clip(shift + change, start - 1.5, start + 1.5)
        if np.abs(change).max() < _SETTLED_PX:
            break
    return shift


def _normal_equations(compared: list[_Compared], shift: Array) -> tuple[Array, Array, float]:
    """(2, 2), (2,) and the sum of squares."""
    normal, gradient, misfit = np.zeros((2, 2)), np.zeros(2), 0.0
    for element in compared:
        residual, slopes = element.at(shift)
        weighted = element.weight * slopes
        normal += np.einsum("ayx,byx->ab", weighted, slopes)
        gradient += np.einsum("ayx,yx->a", weighted, residual)
        misfit += float(np.sum(element.weight * residual**2))
    return normal, gradient, misfit


def _judged(compared: list[_Compared], shift: Array, fine_nm: float, coarse_nm: float) -> Registration:
    normal, _, misfit = _normal_equations(compared, shift)
    n_points = sum(element.n_points for element in compared)
    if n_points <= 2:
        raise UnregisteredError("no points were measured in both: were the scans cut short?")
    chi_squared = misfit / (n_points - 2)
    structure = sum(element.structure() for element in compared)
    mismatch = max(0.0, misfit - n_points) / max(structure - n_points, 1e-12)
    sigma = np.array([np.inf, np.inf])
    if np.linalg.eigvalsh(normal)[0] > 1e-6 * np.trace(normal):
        sigma = np.sqrt(np.diag(np.linalg.inv(normal)) * max(1.0, chi_squared)) * fine_nm
    if sigma.max() > _MOST_SIGMA_STEPS * coarse_nm:
        raise UnregisteredError(
            f"the maps tell their shift to {sigma.max():.3g} nm only, and {_MOST_SIGMA_STEPS * coarse_nm:.3g} nm are "
            "needed: too few counts or too little structure"
        )
    if mismatch > _MOST_MISMATCH:
        raise UnregisteredError(
            f"at the best shift {mismatch:.0%} of the coarse map's structure differ beyond noise (at most "
            f"{_MOST_MISMATCH:.0%} may): did the specimen change, or is the fine step too long for its probe?"
        )
    y_nm, x_nm = (float(along) * fine_nm for along in shift)
    return Registration((y_nm, x_nm), (float(sigma[0]), float(sigma[1])), chi_squared, mismatch)


def _checked_ratio(fine: ElementMaps, coarse: ElementMaps) -> int:
    ratio = round(coarse.pixel_size_nm / fine.pixel_size_nm)
    if ratio < 2 or abs(coarse.pixel_size_nm - ratio * fine.pixel_size_nm) > 1e-6 * coarse.pixel_size_nm:
        raise ValueError(
            f"the coarse step is {coarse.pixel_size_nm:g} nm, the fine one {fine.pixel_size_nm:g} nm: a whole number, "
            "at least 2, of fine steps must make a coarse one"
        )
    needed = tuple(ratio * n for n in coarse.mask.shape)
    if fine.mask.shape != needed:
        raise ValueError(f"the fine map has {fine.mask.shape} points: {needed} are needed over the coarse map")
    if fine.elements != coarse.elements:
        raise ValueError(f"the fine map has {fine.elements}, the coarse one {coarse.elements}: pass the same elements")
    return ratio


def _block_mean(plane: Array, ratio: int) -> Array:
    height, width = plane.shape
    return np.asarray(plane.reshape(height // ratio, ratio, width // ratio, ratio).mean((1, 3)))


def _within(shape: tuple[int, ...], border: int) -> NDArray[np.bool_]:
    inside = np.zeros(shape, bool)
    inside[border : shape[0] - border, border : shape[1] - border] = True
    return inside
