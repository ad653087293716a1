"""Tasks on whole maps, some angles at a time: how much of them was measured, and putting them into place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.tomo.alignment_shift import shifted
from models.tomo.interruption import Cancelled, Progress, step_done
from models.tomo.level import row_sums
from models.tomo.missing import fill_missing
from services.reconstruction.compute import Compute, Told
from services.reconstruction.reprojection import Reprojections
from services.reconstruction.shelf import Shelf, Stack, StackName

Array = NDArray[np.float64]
_BATCH_BYTES = 16 * 2**20
_LARGEST_BATCH = 32


@dataclass(frozen=True, eq=False)
class Survey:
    """What some maps say as a whole.

    Attributes:
        unmeasured: (plane,) points of each that were not measured.
        n_points: of a map.
        sums: (2, plane, y) `models.tomo.level.row_sums`.
    """

    unmeasured: NDArray[np.int64]
    n_points: int
    sums: Array

    @property
    def unmeasured_share(self) -> Array:
        """(plane,) of the points."""
        return self.unmeasured / self.n_points


def survey(maps: Stack) -> Survey:
    """Of (plane, y, x); not finite is not measured."""
    measured = np.isfinite(maps)
    return Survey(np.count_nonzero(~measured, axis=(1, 2)), maps[0].size, row_sums(np.where(measured, maps, 0)))


@dataclass(frozen=True)
class SurveyPlanes:
    """Look at some maps of a series."""

    stack: StackName
    planes: tuple[int, ...]

    @property
    def doing(self) -> str:
        """See `Task`."""
        return f"surveying {self.stack.element}"

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> Survey:
        """See `Task`."""
        step_done(0.0, progress, cancelled)
        return survey(shelf.read_planes(self.stack, self.planes))


@dataclass(frozen=True)
class PlacePlanes:
    """Move some maps into place, and fill their gaps where slabs could not: from above and below.

    Attributes:
        stack: as measured; it goes to the placed one of the same name.
        planes: of the stack.
        first: their first place in the placed stack.
        shifts_px: y and u of each plane; None: none is moved.
        fills: the gaps.
    """

    stack: StackName
    planes: tuple[int, ...]
    first: int
    shifts_px: tuple[tuple[float, ...], tuple[float, ...]] | None
    fills: bool

    @property
    def doing(self) -> str:
        """See `Task`."""
        return f"placing {self.stack.element}"

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> Survey:
        """See `Task`."""
        step_done(0.0, progress, cancelled)
        maps = shelf.read_planes(self.stack, self.planes)
        if self.shifts_px is not None:
            maps = shifted(maps, *self.shifts_px)
        if self.fills:
            maps = fill_missing(maps).values
        shelf.write_planes(placed(self.stack), self.first, maps)
        return survey(maps)


@dataclass(frozen=True, eq=False)
class EnhancePlanes:
    """Enhance some re-projections of all elements, and put them where placed maps stand."""

    reprojections: Reprojections
    first: int

    @property
    def doing(self) -> str:
        """See `Task`."""
        return "enhancing re-projections"

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> dict[str, Survey]:
        """See `Task`."""
        images = self.reprojections.enhanced(progress, cancelled)
        for element, maps in images.items():
            shelf.write_planes(StackName("enhanced", element, is_placed=True), self.first, maps)
        return {element: survey(maps) for element, maps in images.items()}


def placed(stack: StackName) -> StackName:
    """Where the maps of a stack stand once they are in place."""
    return StackName(stack.source, stack.element, is_placed=True)


def batch_of(shape: tuple[int, int]) -> int:
    """How many maps (y, x) are handled at once."""
    return max(1, min(_LARGEST_BATCH, _BATCH_BYTES // (4 * shape[0] * shape[1])))


Piece = TypeVar("Piece")


def batches(pieces: Sequence[Piece], size: int) -> list[tuple[int, tuple[Piece, ...]]]:
    """Some at a time, each with the place of its first."""
    return [(first, tuple(pieces[first : first + size])) for first in range(0, len(pieces), size)]


def survey_stacks(
    stacks: Sequence[StackName],
    planes: Sequence[int],
    n_planes: int,
    shape: tuple[int, int],
    compute: Compute,
    told: Told,
) -> dict[str, Survey]:
    """Of each element's maps; those that are not among ``planes`` count as not measured.

    Args:
        stacks: of one source, one for each element.
        planes: that were measured.
        n_planes: of each stack.
        shape: (y, x).
        compute: does it.
        told: the fraction done.
    """
    surveys = {stack.element: _blank(n_planes, shape) for stack in stacks}
    tasks = [SurveyPlanes(stack, some) for stack in stacks for _, some in batches(planes, batch_of(shape))]

    def take(index: int, found: Survey) -> None:
        whole, some = surveys[tasks[index].stack.element], list(tasks[index].planes)
        whole.unmeasured[some], whole.sums[:, some] = found.unmeasured, found.sums

    compute.run(tasks, take, told)
    return surveys


@dataclass(frozen=True)
class Placing:
    """How maps come into place; attributes as of `PlacePlanes`, for all the planes that are used."""

    planes: tuple[int, ...]
    shifts_px: tuple[tuple[float, ...], tuple[float, ...]] | None
    fills: bool


def place_stacks(
    stacks: Sequence[StackName],
    placing: Placing,
    shape: tuple[int, int],
    slab_rows: int,
    shelf: Shelf,
    compute: Compute,
    told: Told,
) -> dict[str, Survey]:
    """Make and fill the placed stacks of some elements; of each, what it says as a whole.

    Args:
        stacks: as measured.
        placing: how.
        shape: (y, x).
        slab_rows: rows that are read at once later on.
        shelf: where they stand.
        compute: does it.
        told: the fraction done.
    """
    n_planes, batch = len(placing.planes), batch_of(shape)
    tasks = []
    for stack in stacks:
        shelf.make_stack(placed(stack), (n_planes, *shape), batch, slab_rows)
        for first, some in batches(placing.planes, batch):
            of_these = slice(first, first + len(some))
            shifts = placing.shifts_px and (placing.shifts_px[0][of_these], placing.shifts_px[1][of_these])
            tasks.append(PlacePlanes(stack, some, first, shifts, placing.fills))
    surveys = {stack.element: _blank(n_planes, shape) for stack in stacks}

    def take(index: int, found: Survey) -> None:
        _note(surveys[tasks[index].stack.element], tasks[index].first, found)

    compute.run(tasks, take, told)
    return surveys


def enhance_stacks(
    reprojections: Reprojections,
    elements: Sequence[str],
    shape: tuple[int, int],
    slab_rows: int,
    shelf: Shelf,
    compute: Compute,
    told: Told,
) -> dict[str, Survey]:
    """Enhance re-projections into the placed stacks; arguments and outcome as of `place_stacks`."""
    n_planes, batch = len(reprojections.angles_deg), batch_of(shape)
    for element in elements:
        shelf.make_stack(StackName("enhanced", element, is_placed=True), (n_planes, *shape), batch, slab_rows)
    tasks = [EnhancePlanes(reprojections.part(some), first) for first, some in batches(range(n_planes), batch)]
    surveys = {element: _blank(n_planes, shape) for element in elements}

    def take(index: int, found: Mapping[str, Survey]) -> None:
        for element, one in found.items():
            _note(surveys[element], tasks[index].first, one)

    compute.run(tasks, take, told)
    return surveys


def _blank(n_planes: int, shape: tuple[int, int]) -> Survey:
    """Of maps of which nothing was measured."""
    n_points = shape[0] * shape[1]
    return Survey(np.full(n_planes, n_points, np.int64), n_points, np.zeros((2, n_planes, shape[0])))


def _note(whole: Survey, first: int, found: Survey) -> None:
    some = slice(first, first + len(found.unmeasured))
    whole.unmeasured[some], whole.sums[:, some] = found.unmeasured, found.sums
