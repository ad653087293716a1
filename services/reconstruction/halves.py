"""The resolution that the data show: two volumes of every other angle each, and how they correlate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.correlation import FourierCorrelation, bit_threshold, fourier_correlation
from models.quality.criteria import ONE_SEVENTH, HalvesResolution, effective_share, halves_resolution
from models.quality.halves import SHARED_PRIOR_NOTE, odd_even_split
from models.quality.masks import cylindrical_mask
from services.catalog.records import MapSource
from services.reconstruction.shelf import Rows, Volume
from services.reconstruction.slabs import Box, Method, Projections, ReconstructHalf, cut

Array = NDArray[np.float64]

LEAST_ANGLES = 4
"""Two in each half."""
INDEPENDENT_NOTE = (
    "The angles were split first; the halves share the rotation axis, the shifts and the mask only. Half of the angles "
    "make a half noisier and poorer in directions than the volume, so this is what the data show at least."
)
LONGEST_SIDE = 256
"""Of what is compared, which is held at once; a fitted map is hardly ever larger."""
_SOFT = 1 / 8
"""Of the shortest side: width of the mask's edge."""


@dataclass(frozen=True, eq=False)
class HalvesComparison:
    """How two halves of the angles agree.

    Attributes:
        source: of the maps.
        is_independent: False where the halves went through one prior: the curve then tells no resolution.
        note: to stand beside the curve wherever it is shown.
        pixel_size_nm: of the halves.
        curve: by shells.
        found: by each criterion.
        box: of the volume that was compared.
    """

    source: MapSource
    is_independent: bool
    note: str
    pixel_size_nm: float
    curve: FourierCorrelation
    found: HalvesResolution
    box: Box

    @property
    def frequency_per_nm(self) -> Array:
        """(shell,)."""
        return self.curve.frequency_per_px / self.pixel_size_nm

    @property
    def thresholds(self) -> dict[str, Array]:
        """(shell,) of each criterion."""
        n_effective = self.found.n_eff_factor * self.curve.n_voxels
        return {
            "half_bit": bit_threshold(n_effective, 0.5),
            "one_bit": bit_threshold(n_effective, 1.0),
            "one_seventh": np.full(len(self.curve.values), ONE_SEVENTH),
        }

    @property
    def words(self) -> dict[str, str]:
        """The resolution by each criterion as it may be quoted; "<=" where two pixels are the limit."""
        return {name: str(getattr(self.found, name)) for name in ("half_bit", "one_bit", "one_seventh")}


def box_of(shape: tuple[int, int]) -> Box:
    """The middle of the volume of maps (y, x): all of it where no side is longer than `LONGEST_SIDE`."""
    height, side = (min(n, LONGEST_SIDE) for n in shape)
    return Box(Rows((shape[0] - height) // 2, height), (shape[1] - side) // 2, side)


@dataclass(frozen=True, eq=False)
class Halves:
    """Every other angle and the others.

    Attributes:
        seen: the projections of either.
        box: of the volume, that is compared.
    """

    seen: tuple[Projections, Projections]
    box: Box

    @classmethod
    def of(cls, seen: Projections, sums: Array) -> "Halves":
        """Of projections with at least `LEAST_ANGLES` and their row sums (2, plane, y)."""
        split = odd_even_split(seen.angles_deg)
        return cls((seen.half(split.even.tolist(), sums), seen.half(split.odd.tolist(), sums)), box_of(seen.shape))

    def tasks(self, method: Method) -> list[ReconstructHalf]:
        """What makes their volumes."""
        rows = cut(self.box.rows, self.seen[0].shape[1])
        return [ReconstructHalf(seen, method, some, self.box) for seen in self.seen for some in rows]

    def compare(self, one: Volume, other: Volume) -> HalvesComparison:
        """Correlate their volumes (z, y, x) in the box within a soft cylinder; halves that share a prior say so."""
        depth, height, width = self.box.shape
        edge = _SOFT * min(height, width)
        mask = cylindrical_mask((depth, height, width), (width - edge) / 2, height - edge, edge)
        curve = fourier_correlation(one, other, mask)
        source, pixel_nm = self.seen[0].stack.source, self.seen[0].pixel_nm
        found = halves_resolution(curve, pixel_nm, effective_share(mask))
        is_independent = source == "fitted"
        note = INDEPENDENT_NOTE if is_independent else SHARED_PRIOR_NOTE
        return HalvesComparison(source, is_independent, note, pixel_nm, curve, found, self.box)


class PairsInProgress:
    """Pairs of halves as their slabs come, compared as soon as they are whole: hardly more than one is held at a time.

    Args:
        halves: of all that is compared.
        method: of reconstruction.

    Attributes:
        tasks: what makes all of them.
    """

    def __init__(self, halves: Sequence[Halves], method: Method) -> None:
        self._halves = halves
        pieces = [(pair, task) for pair, one in enumerate(halves) for task in one.tasks(method)]
        self.tasks = [task for _, task in pieces]
        self._pair = [pair for pair, _ in pieces]
        self._awaited = [{index for index, own in enumerate(self._pair) if own == pair} for pair in range(len(halves))]
        self._volumes: dict[int, tuple[Volume, Volume]] = {}
        self._found: dict[int, HalvesComparison] = {}

    def take(self, index: int, slab: Volume) -> None:
        """Put what a task made where it belongs."""
        pair, task = self._pair[index], self.tasks[index]
        if pair not in self._volumes:
            one, other = (np.empty(task.box.shape, np.float32) for _ in range(2))
            self._volumes[pair] = one, other
        half = 0 if task.seen is self._halves[pair].seen[0] else 1
        first = task.rows.first - task.box.rows.first
        self._volumes[pair][half][:, first : first + task.rows.count] = slab
        self._awaited[pair].discard(index)
        if not self._awaited[pair]:
            self._found[pair] = self._halves[pair].compare(*self._volumes.pop(pair))

    def comparisons(self) -> list[HalvesComparison]:
        """Of each pair, once everything has been taken."""
        return [self._found[pair] for pair in range(len(self._halves))]
