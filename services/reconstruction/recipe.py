"""One volume of each element: where the projections stand, which are used, slabs made of them, and their quality.

Nothing here holds a whole volume or more than the fitted maps: the rest stands on a shelf, and tasks go to and fro.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import Algorithm, Provenance
from models.tomo.interruption import Cancelled, never_cancelled
from models.tomo.level import Whole, level_of_rows
from services.catalog.records import MapSource
from services.catalog.volume_writing import VolumeImages
from services.reconstruction.compute import Compute, Told
from services.reconstruction.halves import LEAST_ANGLES, Halves, HalvesComparison, PairsInProgress
from services.reconstruction.placement import CentreChoice, Placement, place
from services.reconstruction.planes import Placing, Survey, enhance_stacks, place_stacks, placed, survey, survey_stacks
from services.reconstruction.quality import Quality, SlabSums, quality_of
from services.reconstruction.reprojection import AngularEnhancement, Reprojections, reproject
from services.reconstruction.shelf import Rows, Shelf, Stack, StackName
from services.reconstruction.slabs import (
    Method,
    Projections,
    ReconstructSlab,
    SlabDone,
    cut,
    provenance_of,
    slab_rows,
)
from services.reconstruction.views import VolumeViews

Array = NDArray[np.float64]

MOST_FILLED = 0.05
"""Of an angle's points; one with more of them unmeasured is left out instead of being filled from neighbours."""
_SURVEYED = 0.05  # of the progress
_PLACED = 0.1
_REPROJECTED = 0.4  # likewise, where there is anything to re-project
_VOLUME_SHARE = 0.5  # of what is left then, where halves follow


@dataclass(frozen=True, eq=False)
class SeriesMaps:
    """What there is to reconstruct from.

    Attributes:
        source: of the maps to reconstruct.
        fitted: (angle, y, x) the coarse maps of each element as measured, in ug/cm^2; NaN where not measured.
        angles_deg: of all maps; NaN where not known.
        done_angles: indices of the angles that are measured.
        step_nm: size of the fitted maps' pixels.
        scale: pixels of the maps to reconstruct in one of them.
    """

    source: MapSource
    fitted: Mapping[str, Stack]
    angles_deg: Sequence[float]
    done_angles: Sequence[int]
    step_nm: float
    scale: int

    def shape(self, source: MapSource) -> tuple[int, int]:
        """(y, x) of a map."""
        rows, width = next(iter(self.fitted.values())).shape[1:]
        scale = self.scale if source == "enhanced" else 1
        return rows * scale, width * scale


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be done with them.

    Attributes:
        algorithm: does the tomography.
        parameters: of the algorithm.
        centre, align_on: see `services.reconstruction.placement.place`.
        halves: whether to compare halves of the angles.
        angular: more angles than were measured, instead of the maps; its variances are for all angles.
    """

    algorithm: Algorithm
    parameters: Mapping[str, Any] = field(default_factory=dict)
    centre: CentreChoice = "auto"
    align_on: str | None = None
    halves: bool = False
    angular: AngularEnhancement | None = None


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
    """Volumes on one grid, written to the shelf, with how they came about."""

    shape: tuple[int, int, int]
    """(z, y, x) of each element's volume, in g/cm^3."""
    images: Mapping[str, VolumeImages]
    """Of each element, as all below."""
    placement: Placement
    choice: AngleChoice
    voxel_size_nm: float
    angular_sampling_limit_nm: float
    quality: Mapping[str, Quality]
    provenance: Mapping[str, Provenance]
    """How each element's volume was computed."""
    halves: Mapping[str, tuple[HalvesComparison, ...]]
    """Of each element: first the fitted maps', which tells a resolution."""
    reprojected: Reprojections | None


def reconstruct_elements(
    maps: SeriesMaps,
    wanted: Wanted,
    shelf: Shelf,
    compute: Compute,
    progress: Told = lambda _fraction, _doing: None,
    cancelled: Cancelled = never_cancelled,
) -> Reconstruction:
    """Reconstruct every element in one geometry, slab by slab onto a shelf.

    Args:
        maps: of the series.
        wanted: how.
        shelf: where all maps stand and the volumes go.
        compute: does the tasks, on the same shelf.
        progress: told a fraction of the whole and what is being done.
        cancelled: asked often; True stops.

    Raises:
        ValueError: there is nothing to reconstruct from, the axis cannot be found, or the wishes do not fit the data.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    return _Job(maps, wanted, shelf, compute, progress, cancelled).done()


@dataclass(frozen=True, eq=False)
class _InPlace:
    """Projections, and their row sums (2, plane, y)."""

    seen: Projections
    sums: Array


@dataclass(frozen=True, eq=False)
class _Job:
    maps: SeriesMaps
    wanted: Wanted
    shelf: Shelf
    compute: Compute
    progress: Told
    cancelled: Cancelled

    def done(self) -> Reconstruction:
        maps, wanted = self.maps, self.wanted
        surveys = self._surveys(maps.source if wanted.angular is None else "fitted")
        fills = wanted.algorithm.capabilities.fills_missing_pixels
        choice = choose_angles(surveys, maps.angles_deg, maps.done_angles, fills)
        used = list(choice.used)
        angles = np.asarray(maps.angles_deg, np.float64)[used]
        self.progress(_SURVEYED, "placing the projections")
        fitted = {element: stack[used] for element, stack in maps.fitted.items()}
        placement = place(fitted, angles, maps.scale, wanted.centre, wanted.align_on, self.cancelled)
        reprojected = None
        if wanted.angular is None:
            told = _stage(self.progress, _SURVEYED, (_SURVEYED + _PLACED) / 2)
            projections = self._in_place(maps.source, surveys, choice, placement, told)
        else:
            reprojected = self._reprojections(fitted, angles, used, placement, wanted.angular)
            projections = self._enhanced(reprojected, placement)
        compared = self._compared(projections, choice, placement) if wanted.halves and len(used) >= LEAST_ANGLES else []
        begun = _PLACED if reprojected is None else _REPROJECTED
        halfway = begun + (1 - begun) * (_VOLUME_SHARE if compared else 1.0)
        images, quality, provenance = self._volumes(projections, _stage(self.progress, begun, halfway))
        halves = self._halves(compared, _stage(self.progress, halfway, 1.0))
        (rows, width), coarse_width = maps.shape(maps.source), next(iter(fitted.values())).shape[-1]
        return Reconstruction(
            (width, rows, width),
            images,
            placement,
            choice,
            maps.step_nm / maps.scale,
            angular_sampling_limit(angles, maps.step_nm * coarse_width),
            quality,
            provenance,
            halves,
            reprojected,
        )

    def _surveys(self, source: MapSource) -> dict[str, Survey]:
        """Of all maps of a source; the fitted ones are at hand."""
        if source == "fitted":
            return {element: survey(stack) for element, stack in self.maps.fitted.items()}
        stacks = [StackName(source, element) for element in self.maps.fitted]
        shape, told = self.maps.shape(source), _stage(self.progress, 0.0, _SURVEYED)
        return survey_stacks(stacks, self.maps.done_angles, len(self.maps.angles_deg), shape, self.compute, told)

    def _in_place(
        self, source: MapSource, surveys: Mapping[str, Survey], choice: AngleChoice, placement: Placement, told: Told
    ) -> dict[str, _InPlace]:
        """The maps of a source where they are, or moved and filled where slabs could not do it by themselves."""
        used, shape, alignment = list(choice.used), self.maps.shape(source), placement.alignment
        stacks, planes = [StackName(source, element) for element in surveys], choice.used
        sums = {element: one.sums[:, used] for element, one in surveys.items()}
        fills = not self.wanted.algorithm.capabilities.iterative
        if alignment is not None or (fills and any(one.unmeasured[used].any() for one in surveys.values())):
            scale = self.maps.scale if source == "enhanced" else 1
            shifts = None
            if alignment is not None:
                shifts = tuple((alignment.y_px * scale).tolist()), tuple((alignment.u_px * scale).tolist())
            placing = Placing(planes, shifts, fills)
            found = place_stacks(stacks, placing, shape, slab_rows(*shape), self.shelf, self.compute, told)
            stacks, planes = [placed(stack) for stack in stacks], tuple(range(len(used)))
            sums = {element: one.sums for element, one in found.items()}
        angles = np.asarray(self.maps.angles_deg, np.float64)[used]
        return {stack.element: self._seen(stack, planes, angles, placement, sums[stack.element]) for stack in stacks}

    def _reprojections(
        self,
        fitted: Mapping[str, Stack],
        angles_deg: Array,
        used: list[int],
        placement: Placement,
        angular: AngularEnhancement,
    ) -> Reprojections:
        in_place = {element: placement.placed(stack, 1) for element, stack in fitted.items()}
        told = _stage(self.progress, _PLACED, (_PLACED + _REPROJECTED) / 2)
        return reproject(
            in_place,
            angles_deg,
            placement.fitted_centre_px,
            angular.of_angles(used),
            progress=lambda fraction: told(fraction, "re-projecting"),
            cancelled=self.cancelled,
        )

    def _enhanced(self, reprojected: Reprojections, placement: Placement) -> dict[str, _InPlace]:
        elements, shape = list(reprojected.maps), self.maps.shape("enhanced")
        told = _stage(self.progress, (_PLACED + _REPROJECTED) / 2, _REPROJECTED)
        found = enhance_stacks(reprojected, elements, shape, slab_rows(*shape), self.shelf, self.compute, told)
        angles = reprojected.angles_deg
        return {
            element: self._seen(
                StackName("enhanced", element, is_placed=True), range(len(angles)), angles, placement, one.sums
            )
            for element, one in found.items()
        }

    def _compared(
        self, projections: Mapping[str, _InPlace], choice: AngleChoice, placement: Placement
    ) -> list[_InPlace]:
        """What halves are made of: the fitted maps of each element, then the enhanced ones."""
        maps = self.maps
        if maps.source == "fitted":
            return list(projections.values())
        told = _stage(self.progress, (_SURVEYED + _PLACED) / 2, _PLACED)
        fitted = self._in_place("fitted", self._surveys("fitted"), choice, placement, told).values()
        # Halves of re-projections would share every measured projection: their curve would tell nothing at all.
        return [*fitted, *(projections.values() if self.wanted.angular is None else ())]

    def _seen(
        self, stack: StackName, planes: Sequence[int], angles_deg: Array, placement: Placement, sums: Array
    ) -> _InPlace:
        maps, shape = self.maps, self.maps.shape(stack.source)
        is_fine = stack.source == maps.source
        centre_px = placement.axis.centre_px if is_fine else placement.fitted_centre_px
        pixel_nm = maps.step_nm / maps.scale if is_fine else maps.step_nm
        whole = Whole(level_of_rows(sums, shape[1]))
        return _InPlace(Projections(stack, tuple(planes), angles_deg, centre_px, pixel_nm, shape, whole), sums)

    def _volumes(
        self, projections: Mapping[str, _InPlace], told: Told
    ) -> tuple[dict[str, VolumeImages], dict[str, Quality], dict[str, Provenance]]:
        rows, width = self.maps.shape(self.maps.source)
        method, slabs = Method(self.wanted.algorithm, self.wanted.parameters), cut(Rows(0, rows), width)
        tasks = [ReconstructSlab(one.seen, method, some) for one in projections.values() for some in slabs]
        views = {element: VolumeViews((width, rows, width)) for element in projections}
        parts: dict[str, dict[int, tuple[Provenance, SlabSums]]] = {element: {} for element in projections}

        def take(index: int, slab: SlabDone) -> None:
            element = tasks[index].seen.stack.element
            views[element].take(slab.views)
            parts[element][index] = slab.provenance, slab.sums

        self.compute.run(tasks, take, told)
        # Sums are rounded by their order, which is not the one that slabs come in.
        ordered = {element: [some[index] for index in sorted(some)] for element, some in parts.items()}
        return (
            {element: one.images() for element, one in views.items()},
            {element: quality_of([sums for _, sums in some]) for element, some in ordered.items()},
            {element: provenance_of(some) for element, some in ordered.items()},
        )

    def _halves(self, compared: Sequence[_InPlace], told: Told) -> dict[str, tuple[HalvesComparison, ...]]:
        method = Method(self.wanted.algorithm, self.wanted.parameters)
        collected = PairsInProgress([Halves.of(one.seen, one.sums) for one in compared], method)
        self.compute.run(collected.tasks, collected.take, told)
        found: dict[str, tuple[HalvesComparison, ...]] = dict.fromkeys(self.maps.fitted, ())
        for one, comparison in zip(compared, collected.comparisons(), strict=True):
            found[one.seen.stack.element] += (comparison,)
        return found


def choose_angles(
    surveys: Mapping[str, Survey], angles_deg: Sequence[float], done_angles: Sequence[int], may_fill: bool
) -> AngleChoice:
    """Take the angles that are done and measured nearly everywhere in every element.

    Args:
        surveys: of all maps of each element.
        angles_deg: one per angle; NaN where not known.
        done_angles: indices of those that are measured.
        may_fill: whether the algorithm fills unmeasured points.

    Raises:
        ValueError: there is none.
    """
    worst = np.max([one.unmeasured_share for one in surveys.values()], axis=0)
    allowed = MOST_FILLED if may_fill else 0.0
    good = (worst <= allowed) & np.isfinite(angles_deg)
    used = [index for index in sorted(done_angles) if good[index]]
    if not used:
        raise ValueError(
            f"none of the {len(done_angles)} angles that are done is measured well enough in {', '.join(surveys)}: "
            f"each lacks its angle or more than {allowed:.0%} of the points of a map"
        )
    excluded = sorted(set(range(len(angles_deg))) - set(used))
    filled = sum(int(one.unmeasured[used].sum()) for one in surveys.values())
    return AngleChoice(tuple(used), tuple(excluded), filled)


def angular_sampling_limit(angles_deg: Array, width_nm: float) -> float:
    """Finest detail in nm that the angles support throughout a field of view: its width times the widest gap.

    Source: Crowther, DeRosier, Klug, Proc. R. Soc. A 317 (1970) 319: d = pi D / N for N even angles over half a turn.
    """
    half_turn = np.sort(np.mod(angles_deg, 180.0))
    gaps = np.diff(half_turn, append=half_turn[0] + 180.0)
    return float(width_nm * np.deg2rad(gaps.max()))


def _stage(progress: Told, begun: float, over: float) -> Told:
    def tell(fraction: float, doing: str) -> None:
        progress(begun + (over - begun) * fraction, doing)

    return tell
