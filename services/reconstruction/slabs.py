"""Tasks on some rows of all maps: a slab of the volume, written by whoever made it, or of a half's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import G_CM3_PER_UG_CM2_NM, Account, Algorithm, Provenance, nobody_asks
from models.tomo.interruption import Cancelled, Progress, step_done
from models.tomo.level import Whole, level_of_rows
from models.tomo.likelihood import History
from services.reconstruction.quality import SlabSums, slab_sums
from services.reconstruction.shelf import Rows, Shelf, Stack, StackName, Volume
from services.reconstruction.views import SlabViews

Array = NDArray[np.float64]

_SLAB_BYTES = 32 * 2**20
_FEWEST_ROWS, _MOST_ROWS = 16, 64
"""Of a slab. Every slab builds the system matrix anew: at 188 pixels and 45 angles 32 rows a slab take 1.4 times the
core time of all at once, 16 take 2.0 times, 8 take 4 times."""


def slab_rows(n_rows: int, width: int) -> int:
    """Rows of a slab: from the size of the maps alone, so that a volume is the same whoever computes it."""
    most = max(_FEWEST_ROWS, min(_MOST_ROWS, _SLAB_BYTES // (4 * width**2)))
    n_slabs = -(-n_rows // most)
    return -(-n_rows // n_slabs)


def cut(rows: Rows, width: int) -> list[Rows]:
    """Slabs of some rows of maps as wide as that."""
    thickness = slab_rows(rows.count, width)
    return [Rows(first, min(thickness, rows.stop - first)) for first in range(rows.first, rows.stop, thickness)]


@dataclass(frozen=True, eq=False)
class Projections:
    """Maps in place, as they are reconstructed.

    Attributes:
        stack: where they stand.
        planes: of the stack, in the order of the angles.
        angles_deg: (plane,).
        centre_px: of the rotation axis, edge coordinates.
        pixel_nm: of maps and voxels.
        shape: (y, x) of a map.
        whole: what all rows say.
    """

    stack: StackName
    planes: tuple[int, ...]
    angles_deg: Array
    centre_px: float
    pixel_nm: float
    shape: tuple[int, int]
    whole: Whole

    def half(self, chosen: Sequence[int], sums: Array) -> "Projections":
        """Some of the angles; ``sums`` (2, plane, y) are the row sums of all."""
        indices = list(chosen)
        return replace(
            self,
            planes=tuple(self.planes[index] for index in indices),
            angles_deg=self.angles_deg[indices],
            whole=Whole(level_of_rows(sums[:, indices], self.shape[1])),
        )


@dataclass(frozen=True, eq=False)
class Method:
    """An algorithm with its parameters."""

    algorithm: Algorithm
    parameters: Mapping[str, Any]

    def reconstruct(
        self,
        maps: Stack,
        seen: Projections,
        progress: Progress,
        cancelled: Cancelled,
        account: Account = nobody_asks,
    ) -> Volume:
        """Some rows (plane, row, x) to their slices (z, row, x) in g/cm^3."""
        parameters = dict(self.parameters)
        if parameters.get("n_subsets"):  # a half may have fewer angles than the whole has subsets
            parameters["n_subsets"] = min(parameters["n_subsets"], len(seen.angles_deg))
        told = {"progress": progress, "cancelled": cancelled, "account": account, "whole": seen.whole}
        where = seen.angles_deg, seen.centre_px, seen.pixel_nm
        return self.algorithm.reconstruct(maps, *where, **told, **parameters)


@dataclass(frozen=True, eq=False)
class SlabDone:
    """What is known of a slab once it is written.

    Attributes:
        views: to be put together with those of the other slabs.
        sums: towards the quality of the volume.
        provenance: how it came about.
    """

    views: SlabViews
    sums: SlabSums
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class ReconstructSlab:
    """Reconstruct some rows, judge them, and write them."""

    seen: Projections
    method: Method
    rows: Rows

    @property
    def doing(self) -> str:
        """See `Task`."""
        return f"reconstructing {self.seen.stack.element}"

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> SlabDone:
        """See `Task`."""
        maps = shelf.read_rows(self.seen.stack, self.seen.planes, self.rows)
        accounts: list[Provenance] = []
        slab = self.method.reconstruct(maps, self.seen, progress, cancelled, accounts.append)
        again = self.method.algorithm.project(slab, self.seen.angles_deg, self.seen.centre_px, maps.shape[-1])
        sums = slab_sums(slab, again * (self.seen.pixel_nm / G_CM3_PER_UG_CM2_NM), maps)
        step_done(1.0, progress, cancelled)
        shelf.write_slab(self.seen.stack.element, self.rows.first, slab)
        return SlabDone(SlabViews.of(slab, self.rows, self.seen.shape[0]), sums, accounts[-1])


@dataclass(frozen=True)
class Box:
    """A part of a volume: rows, and the same range of z and x."""

    rows: Rows
    first: int
    side: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        return self.side, self.rows.count, self.side

    @property
    def corners_px(self) -> tuple[tuple[int, int], ...]:
        """First and after the last of z, y and x."""
        across = self.first, self.first + self.side
        return across, (self.rows.first, self.rows.stop), across


@dataclass(frozen=True, eq=False)
class ReconstructHalf:
    """Reconstruct some rows of a half of the angles, for the part of them that halves are compared in."""

    seen: Projections
    method: Method
    rows: Rows
    box: Box

    @property
    def doing(self) -> str:
        """See `Task`."""
        return f"comparing halves of {self.seen.stack.element}"

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> Volume:
        """See `Task`; (z, row, x) within the box."""
        maps = shelf.read_rows(self.seen.stack, self.seen.planes, self.rows)
        slab = self.method.reconstruct(maps, self.seen, progress, cancelled)
        across = slice(self.box.first, self.box.first + self.box.side)
        return np.ascontiguousarray(slab[across, :, across])


def provenance_of(slabs: Sequence[tuple[Provenance, SlabSums]]) -> Provenance:
    """Of a volume: objectives add up, misfits by the data they are of, changes are the largest.

    With a tolerance each slab stops by itself; from then on its last figures stand.
    """
    first = slabs[0][0]
    histories = [provenance.history for provenance, _ in slabs]
    known = [history for history in histories if history is not None]
    if len(known) < len(slabs):
        return first
    weights = np.array([sums.fitted_squares for _, sums in slabs])
    objective, misfit, change = (
        _to_one_length([getattr(history, name) for history in known]) for name in ("objective", "misfit", "change")
    )
    squares = (np.square(misfit) * weights[:, None]).sum(axis=0)
    history = History(
        tuple(objective.sum(axis=0).tolist()),
        tuple(np.sqrt(squares / max(weights.sum(), np.finfo(float).tiny)).tolist()),
        tuple(change.max(axis=0).tolist()),
    )
    return replace(first, history=history)


def _to_one_length(series: Sequence[Sequence[float]]) -> Array:
    longest = max(map(len, series))
    return np.array([[*some, *[some[-1]] * (longest - len(some))] if some else [] for some in series], np.float64)
