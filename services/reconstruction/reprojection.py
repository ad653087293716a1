"""Angular enhancement: more angles than were measured, re-projected from the fitted maps' volume and then enhanced.

Source: the way of the paper (fitted maps to a volume, its re-projections to the network); see issue 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.quality.halves import odd_even_split
from models.scan import Motion
from models.superres.enhancer import Enhancer
from models.tomo.algorithms import ALGORITHMS
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.xrf.maps import ElementMaps

Stack = NDArray[np.float32]
Array = NDArray[np.float64]
_COARSE = ALGORITHMS["osem"]
_COARSE_PARAMETERS = {"n_iterations": 20}
_WEDGE = 2.0
"""Times the usual gap between angles: a wider one was not measured, and nothing is made up in it."""


@dataclass(frozen=True, eq=False)
class AngularEnhancement:
    """What is wanted, and with what.

    Attributes:
        n_angles: to re-project to.
        enhancer: of each re-projection.
        probe, motion, scale, step_nm: of the scan, as for the measured projections.
        variances: (angle, y, x) of each element's fit.
    """

    n_angles: int
    enhancer: Enhancer
    probe: Probe
    motion: Motion
    scale: int
    step_nm: float
    variances: Mapping[str, Stack]

    def of_angles(self, indices: Sequence[int]) -> "AngularEnhancement":
        """The same with the variances of some of the angles."""
        chosen = list(indices)
        return replace(self, variances={element: stack[chosen] for element, stack in self.variances.items()})


@dataclass(frozen=True, eq=False)
class Reprojections:
    """Coarse maps at new angles, yet to be enhanced.

    Attributes:
        maps: (new angle, y, x) of each element in ug/cm^2.
        variances: of the same shape: what the enhancer is told.
        angles_deg: (new angle,).
        error_factor: see the function of this name, of each element.
        enhancer, probe, motion, scale, step_nm: see `AngularEnhancement`.
    """

    maps: Mapping[str, Stack]
    variances: Mapping[str, Stack]
    angles_deg: Array
    error_factor: Mapping[str, float]
    enhancer: Enhancer
    probe: Probe
    motion: Motion
    scale: int
    step_nm: float

    def part(self, indices: Sequence[int]) -> "Reprojections":
        """Some of the new angles."""
        chosen = list(indices)
        return replace(
            self,
            maps={element: stack[chosen] for element, stack in self.maps.items()},
            variances={element: stack[chosen] for element, stack in self.variances.items()},
            angles_deg=self.angles_deg[chosen],
        )

    def enhanced(self, progress: Progress = keep_quiet, cancelled: Cancelled = never_cancelled) -> dict[str, Stack]:
        """(new angle, y, x) of each element on the fine grid.

        Raises:
            ReconstructionCancelledError: ``cancelled`` said so.
        """
        elements, n_angles = tuple(self.maps), len(self.angles_deg)
        images: dict[str, list[Stack]] = {element: [] for element in elements}
        for index in range(n_angles):
            values = np.stack([self.maps[element][index] for element in elements])
            variance = np.stack([self.variances[element][index] for element in elements])
            measured, counts = np.isfinite(variance).all(axis=0), _counts(values, variance)
            maps = ElementMaps(elements, values, variance, measured, self.step_nm, counts)
            found = self.enhancer.enhance(maps, self.probe, self.motion, self.scale)
            for element, image in zip(elements, found.values, strict=True):
                images[element].append(image)
            step_done((index + 1) / n_angles, progress, cancelled)
        return {element: np.stack(planes) for element, planes in images.items()}


def reproject(
    fitted: Mapping[str, Stack],
    angles_deg: Array,
    centre_px: float,
    wanted: AngularEnhancement,
    *,
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> Reprojections:
    """Reconstruct the fitted maps and project at new angles, for each of these projections to be enhanced.

    The fitted maps are reconstructed by OSEM until their detail is there: what a penalty would smooth or streaks would
    add, the enhancer takes for the specimen. It is told the variance of the nearest measured map: more than the noise
    of a re-projection, which averages its neighbours. Of what too few angles left unresolved it is told nothing, for it
    takes errors as independent from point to point and would blur all for it. So its sigma is too small; `error_factor`
    says by how much. On a simulated cathode (45 angles to 91, scale 3, lmmse) the volume is at 23.6 dB; 22.8 with the
    penalty and 22.8 where the whole error is told; 23.8 the plain way, without re-projection.

    Args:
        fitted: (angle, y, x) of each element in ug/cm^2, in place; NaN where not measured.
        angles_deg: one per projection.
        centre_px: of the rotation axis in the fitted maps, edge coordinates.
        wanted: see `AngularEnhancement`; its variances are of the same angles.
        progress, cancelled: by element.

    Raises:
        ValueError: fewer angles are wanted than were measured.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    if wanted.n_angles < len(angles_deg):
        raise ValueError(f"reproject_to is {wanted.n_angles}: {len(angles_deg)} angles were measured, ask for more")
    new_angles = spread_angles(angles_deg, wanted.n_angles)
    nearest = np.abs(new_angles[:, None] - _unwrapped(angles_deg, new_angles[0])[None, :]).argmin(axis=1)
    again: dict[str, Stack] = {}
    told: dict[str, Stack] = {}
    factors: dict[str, float] = {}
    for index, (element, stack) in enumerate(fitted.items()):
        width = stack.shape[-1]
        factors[element] = error_factor(stack, wanted.variances[element], angles_deg, centre_px)
        volume = _COARSE.reconstruct(stack, angles_deg, centre_px, cancelled=cancelled, **_COARSE_PARAMETERS)
        again[element] = _COARSE.project(volume, new_angles, centre_px, width)
        told[element] = wanted.variances[element][nearest]
        step_done((index + 1) / len(fitted), progress, cancelled)
    scan = wanted.enhancer, wanted.probe, wanted.motion, wanted.scale, wanted.step_nm
    return Reprojections(again, told, new_angles, factors, *scan)


def error_factor(stack: Stack, variance: Stack, angles_deg: Array, centre_px: float) -> float:
    """Error variance of a re-projection over that of a measured map, from angles that a reconstruction never saw.

    Every other angle is reconstructed and projected at the angles between; what differs from the maps measured there
    is their noise, whose variance the fit tells, and the re-projection's error: noise, streaks and what the angles do
    not resolve. Half of the angles err more than all: it is an upper bound, a
    few times too large where angles are few.
    """
    split = odd_even_split(angles_deg)
    squares: list[Array] = []
    noise: list[Array] = []
    for seen, hidden in ((split.even, split.odd), (split.odd, split.even)):
        volume = _COARSE.reconstruct(stack[seen], angles_deg[seen], centre_px, **_COARSE_PARAMETERS)
        missed = stack[hidden] - _COARSE.project(volume, angles_deg[hidden], centre_px, stack.shape[-1])
        measured = np.isfinite(missed) & np.isfinite(variance[hidden])
        squares.append(np.square(missed[measured], dtype=np.float64))
        noise.append(variance[hidden][measured].astype(np.float64))
    told = float(np.concatenate(noise).mean())
    error = float(np.concatenate(squares).mean()) - told
    return max(error / told, 0.0) if told > 0 else 0.0


def spread_angles(angles_deg: Array, n_angles: int) -> Array:
    """As many angles evenly over the directions that were measured; a missing wedge stays missing."""
    half_turn = np.sort(np.mod(angles_deg, 180.0))
    gaps = np.diff(half_turn, append=half_turn[0] + 180.0)
    widest, usual = int(gaps.argmax()), float(np.median(gaps))
    if gaps[widest] < _WEDGE * usual:
        first, covered = half_turn[0], 180.0
    else:
        first, covered = half_turn[(widest + 1) % len(half_turn)], 180.0 - gaps[widest] + usual
    return np.asarray(first + np.arange(n_angles) * covered / n_angles, np.float64)


def _unwrapped(angles_deg: Array, first_deg: float) -> Array:
    """The angles from the first one on, modulo a half turn."""
    return np.asarray(first_deg + np.mod(angles_deg - first_deg, 180.0), np.float64)


def _counts(values: Stack, variance: Stack) -> Stack:
    """(element,) counts per ug/cm^2 that have this variance: Poisson's variance is the mean."""
    means: Sequence[float] = [
        max(float(np.nanmean(value)), 0.0) / max(float(np.nanmean(noise)), float(np.finfo(np.float32).tiny))
        for value, noise in zip(values, variance, strict=True)
    ]
    return np.asarray(means, np.float32)
