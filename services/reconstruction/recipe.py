"""One volume, purely: element maps at many angles in, densities with their quality out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import G_CM3_PER_UG_CM2_NM, Algorithm, Provenance
from models.tomo.interruption import Cancelled, ReconstructionCancelledError, never_cancelled
from services.catalog.records import MapSource
from services.reconstruction.halves import LEAST_ANGLES, HalvesComparison, compare_halves
from services.reconstruction.placement import CentreChoice, Placement, place
from services.reconstruction.reprojection import AngularEnhancement, Reprojected, enhance_reprojections

Stack = NDArray[np.float32]
Volume = NDArray[np.float32]
Array = NDArray[np.float64]
Progress = Callable[[float, str], None]

MOST_FILLED = 0.05
"""Of an angle's points; one with more of them unmeasured is left out instead of being filled from neighbours."""
_PLACED = 0.1  # of the progress
_REPROJECTED = 0.4  # likewise, where there is anything to re-project
_VOLUME_SHARE = 0.5  # of an element's progress, where halves follow


@dataclass(frozen=True, eq=False)
class SeriesMaps:
    """What there is to reconstruct from.

    Attributes:
        source: of ``stacks``.
        stacks: (angle, y, x) of each element in ug/cm^2; NaN where not measured.
        fitted: the coarse maps as measured, of the same elements; the same as ``stacks`` where those are the source.
        angles_deg: of the stacks; NaN where not known.
        done_angles: indices of the angles that are measured.
        step_nm: size of the fitted maps' pixels.
        scale: pixels of ``stacks`` in one of them.
    """

    source: MapSource
    stacks: Mapping[str, Stack]
    fitted: Mapping[str, Stack]
    angles_deg: Sequence[float]
    done_angles: Sequence[int]
    step_nm: float
    scale: int


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be done with them.

    Attributes:
        algorithm: does the tomography.
        parameters: of the algorithm.
        centre, align_on: see `services.reconstruction.placement.place`.
        halves: whether to compare halves of the angles.
        angular: more angles than were measured, instead of ``stacks``; its variances are for all angles.
    """

    algorithm: Algorithm
    parameters: Mapping[str, Any] = field(default_factory=dict)
    centre: CentreChoice = "auto"
    align_on: str | None = None
    halves: bool = False
    angular: AngularEnhancement | None = None


@dataclass(frozen=True)
class Quality:
    """What the data themselves say of one element's volume.

    Attributes:
        reprojection_residual: ||A x - p|| / ||p|| over the angles used; noise is in it, so it is no error.
        mass_spread: standard deviation over mean of the mass seen at each angle; drifts show here.
        negative_fraction: mass of the negative voxels over the positive; noise, streaks, a wrong axis raise it.
    """

    reprojection_residual: float
    mass_spread: float
    negative_fraction: float


@dataclass(frozen=True)
class AngleChoice:
    """Which of the angles asked for can be used."""

    used: tuple[int, ...]
    excluded: tuple[int, ...]
    """Not done, or with too many points that were not measured in one of the elements."""
    filled_points: int
    """Unmeasured points of the used angles, over all elements: the algorithm fills them from their neighbours."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Volumes on one grid, with how they came about."""

    volumes: Mapping[str, Volume]
    """(z, y, x) in g/cm^3 for each element."""
    placement: Placement
    choice: AngleChoice
    voxel_size_nm: float
    angular_sampling_limit_nm: float
    quality: Mapping[str, Quality]
    provenance: Mapping[str, Provenance]
    """How each element's volume was computed."""
    halves: Mapping[str, tuple[HalvesComparison, ...]]
    """Of each element: first the fitted maps', which tells a resolution."""
    reprojected: Reprojected | None


def reconstruct_elements(
    maps: SeriesMaps,
    wanted: Wanted,
    progress: Progress = lambda _fraction, _doing: None,
    cancelled: Cancelled = never_cancelled,
) -> Reconstruction:
    """Reconstruct every element in one geometry.

    Args:
        maps: of the series.
        wanted: how.
        progress: told a fraction of the whole and what is being done.
        cancelled: asked often; True stops.

    Raises:
        ValueError: there is nothing to reconstruct from, the axis cannot be found, or the wishes do not fit the data.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    fills = wanted.algorithm.capabilities.fills_missing_pixels
    choice = choose_angles(maps.stacks, maps.angles_deg, maps.done_angles, fills)
    used = list(choice.used)
    measured_angles = np.asarray(maps.angles_deg, np.float64)[used]
    progress(0.0, "placing the projections")
    fitted = {element: stack[used] for element, stack in maps.fitted.items()}
    placement = place(fitted, measured_angles, maps.scale, wanted.centre, wanted.align_on, cancelled)
    fitted = {element: placement.placed(stack, 1) for element, stack in fitted.items()}
    reprojected = None
    if wanted.angular is not None:
        reprojected = _reprojected(fitted, measured_angles, used, placement, wanted, progress, cancelled)
    done = {}
    for index, element in enumerate(maps.stacks):
        if cancelled():
            raise ReconstructionCancelledError(f"stopped before {element}, as asked")
        if reprojected is None:
            stack, angles = placement.placed(maps.stacks[element][used], maps.scale), measured_angles
        else:
            stack, angles = reprojected.stacks[element], reprojected.angles_deg
        task = _Element(maps, wanted, placement, stack, angles, fitted[element], measured_angles, cancelled)
        begun = _PLACED if reprojected is None else _REPROJECTED
        done[element] = task.run(_part_of(progress, begun, index, len(maps.stacks)), element)
    width_nm = maps.step_nm * next(iter(fitted.values())).shape[-1]
    return Reconstruction(
        volumes={element: one.volume for element, one in done.items()},
        placement=placement,
        choice=choice,
        voxel_size_nm=maps.step_nm / maps.scale,
        angular_sampling_limit_nm=angular_sampling_limit(measured_angles, width_nm),
        quality={element: one.quality for element, one in done.items()},
        provenance={element: one.provenance for element, one in done.items()},
        halves={element: one.halves for element, one in done.items()},
        reprojected=reprojected,
    )


@dataclass(frozen=True, eq=False)
class _Done:
    volume: Volume
    quality: Quality
    provenance: Provenance
    halves: tuple[HalvesComparison, ...]


@dataclass(frozen=True, eq=False)
class _Element:
    """One element's projections in place, and its fitted maps in place."""

    maps: SeriesMaps
    wanted: Wanted
    placement: Placement
    stack: Stack
    angles_deg: Array
    fitted: Stack
    fitted_angles_deg: Array
    cancelled: Cancelled

    def run(self, progress: Progress, element: str) -> _Done:
        pixel_nm, centre_px = self.maps.step_nm / self.maps.scale, self.placement.axis.centre_px
        algorithm, share = self.wanted.algorithm, _VOLUME_SHARE if self.wanted.halves else 1.0
        accounts: list[Provenance] = []
        volume = self._volume(
            self.stack,
            self.angles_deg,
            centre_px=centre_px,
            pixel_nm=pixel_nm,
            account=accounts.append,
            progress=lambda fraction: progress(share * fraction, f"reconstructing {element}"),
        )
        reprojected = algorithm.project(volume, self.angles_deg, centre_px, self.stack.shape[-1])
        quality = assess(volume, reprojected * (pixel_nm / G_CM3_PER_UG_CM2_NM), self.stack)
        halves: tuple[HalvesComparison, ...] = ()
        if self.wanted.halves and len(self.fitted_angles_deg) >= LEAST_ANGLES:
            progress(share, f"comparing halves of {element}")
            halves = self._halves(pixel_nm)
        return _Done(volume, quality, accounts[-1], halves)

    def _halves(self, pixel_nm: float) -> tuple[HalvesComparison, ...]:
        step_nm = self.maps.step_nm
        coarse = partial(self._volume, centre_px=self.placement.fitted_centre_px, pixel_nm=step_nm)
        independent = compare_halves(self.fitted, self.fitted_angles_deg, "fitted", step_nm, coarse)
        # Halves of re-projections would share every measured projection: their curve would tell nothing at all.
        if self.maps.source == "fitted" or self.wanted.angular is not None:
            return (independent,)
        fine = partial(self._volume, centre_px=self.placement.axis.centre_px, pixel_nm=pixel_nm)
        return independent, compare_halves(self.stack, self.angles_deg, "enhanced", pixel_nm, fine)

    def _volume(self, stack: Stack, angles_deg: Array, *, centre_px: float, pixel_nm: float, **told: Any) -> Volume:
        parameters = dict(self.wanted.parameters)
        if parameters.get("n_subsets"):  # a half may have fewer angles than the whole has subsets
            parameters["n_subsets"] = min(parameters["n_subsets"], len(angles_deg))
        return self.wanted.algorithm.reconstruct(
            stack, angles_deg, centre_px, pixel_nm, cancelled=self.cancelled, **told, **parameters
        )


def _reprojected(
    fitted: Mapping[str, Stack],
    angles_deg: Array,
    used: list[int],
    placement: Placement,
    wanted: Wanted,
    progress: Progress,
    cancelled: Cancelled,
) -> Reprojected:
    assert wanted.angular is not None
    return enhance_reprojections(
        fitted,
        angles_deg,
        placement.fitted_centre_px,
        wanted.angular.of_angles(used),
        progress=lambda fraction: progress(_PLACED + (_REPROJECTED - _PLACED) * fraction, "enhancing re-projections"),
        cancelled=cancelled,
    )


def choose_angles(
    stacks: Mapping[str, Stack], angles_deg: Sequence[float], done_angles: Sequence[int], may_fill: bool
) -> AngleChoice:
    """Take the angles that are done and measured nearly everywhere in every element.

    Raises:
        ValueError: there is none.
    """
    unmeasured = np.stack([~np.isfinite(stack) for stack in stacks.values()])
    worst = unmeasured.mean(axis=(2, 3)).max(axis=0)
    allowed = MOST_FILLED if may_fill else 0.0
    good = (worst <= allowed) & np.isfinite(angles_deg)
    used = [index for index in sorted(done_angles) if good[index]]
    if not used:
        raise ValueError(
            f"none of the {len(done_angles)} angles that are done is measured well enough in {', '.join(stacks)}: "
            f"each lacks its angle or more than {allowed:.0%} of the points of a map"
        )
    excluded = sorted(set(range(len(angles_deg))) - set(used))
    return AngleChoice(tuple(used), tuple(excluded), int(np.count_nonzero(unmeasured[:, used])))


def assess(volume: Volume, reprojected: Stack, projections: Stack) -> Quality:
    """What the projections say of a volume, where they are measured; both in ug/cm^2."""
    measured = np.isfinite(projections)
    misfit = np.linalg.norm((reprojected - projections)[measured])
    mass = np.where(measured, projections, 0).sum(axis=(1, 2), dtype=np.float64)
    positive, negative = (float(np.clip(sign * volume, 0, None).sum(dtype=np.float64)) for sign in (1, -1))
    return Quality(
        reprojection_residual=_ratio(float(misfit), float(np.linalg.norm(projections[measured]))),
        mass_spread=_ratio(float(mass.std()), abs(float(mass.mean()))),
        negative_fraction=_ratio(negative, positive),
    )


def angular_sampling_limit(angles_deg: Array, width_nm: float) -> float:
    """Finest detail in nm that the angles support throughout a field of view: its width times the widest gap.

    Source: Crowther, DeRosier, Klug, Proc. R. Soc. A 317 (1970) 319: d = pi D / N for N even angles over half a turn.
    """
    half_turn = np.sort(np.mod(angles_deg, 180.0))
    gaps = np.diff(half_turn, append=half_turn[0] + 180.0)
    return float(width_nm * np.deg2rad(gaps.max()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _part_of(progress: Progress, begun: float, index: int, count: int) -> Progress:
    share = (1 - begun) / count

    def tell(fraction: float, doing: str) -> None:
        progress(begun + share * (index + fraction), doing)

    return tell
