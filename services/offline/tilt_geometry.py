"""How the projections of a file stand to each other: shifts of the single ones, and the rotation axis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.quality.halves import odd_even_split
from models.tomo.algorithms import ALGORITHMS
from models.tomo.alignment import Alignment, align
from models.tomo.alignment_shift import shifted
from models.tomo.centre import CentreEstimate, find_centre_px
from models.tomo.centre_residual import refine_centre
from models.tomo.interruption import Progress
from models.tomo.reprojector import ByEngine
from services.offline.projection_files import ProjectionFile, Stack

Half = Literal["even", "odd"]
Following = Callable[[str], Progress]
"""A progress bar of that name."""
_REPROJECTION_ITERATIONS = 2
_REPROJECTION_SUBSETS = 5
"""See `ByEngine`."""


@dataclass(frozen=True, eq=False)
class TiltGeometry:
    """What holds for all elements of a file alike.

    Attributes:
        used: indices of the projections that every element has.
        centre: the rotation axis, on the shifted projections where there are shifts.
        alignment: shifts of the projections used; None: they stay where they are.
        unmeasured: elements without any measured pixel.
        n_empty: projections left out, as some element has no measured pixel in them.
    """

    used: NDArray[np.int64]
    centre: CentreEstimate
    alignment: Alignment | None
    unmeasured: frozenset[str]
    n_empty: int

    def placed(self, stack: Stack) -> Stack:
        """The projections used, as they are to be reconstructed; NaN where not measured."""
        chosen = stack if len(self.used) == len(stack) else stack[self.used]
        return chosen if self.alignment is None else shifted(chosen, self.alignment.y_px, self.alignment.u_px)


def find_geometry(
    source: ProjectionFile,
    centre_px: float | None,
    guides: tuple[str, ...],
    half: Half | None,
    aligned: bool,
    following: Following,
) -> TiltGeometry:
    """Shifts, where asked for, and the rotation axis, both from the sum of some elements scaled to the same mass.

    Args:
        source: the file.
        centre_px: edge coordinates; None: found.
        guides: the elements that are added up.
        half: every other angle only; None: all.
        aligned: shifts are wanted.
        following: gives a progress bar.

    Raises:
        ValueError: nothing was measured, or the data do not tell the axis.
    """
    chosen = _chosen(source, half)
    guide, used, unmeasured = _guide(source, guides, chosen)
    n_empty = len(chosen) - len(used)
    angles = source.angles_deg[used]
    alignment = None
    if aligned:
        alignment = align(guide, angles, _reprojector(len(used)), centre_px, progress=following("aligning projections"))
        guide = shifted(guide, alignment.y_px, alignment.u_px)
    if centre_px is not None:
        return TiltGeometry(used, CentreEstimate(centre_px, nan, "given"), alignment, unmeasured, n_empty)
    progress = following("finding the rotation axis")
    first = find_centre_px(guide, angles)
    centre = refine_centre(guide, angles, _reprojector(len(used)), first, progress=progress)
    if not np.isfinite(centre.sigma_px):
        centre = replace(centre, sigma_px=nan)
    return TiltGeometry(used, centre, alignment, unmeasured, n_empty)


def _chosen(source: ProjectionFile, half: Half | None) -> NDArray[np.int64]:
    if half is None:
        return np.arange(source.shape[0])
    split = odd_even_split(source.angles_deg)
    return np.sort(split.even if half == "even" else split.odd)


def _guide(
    source: ProjectionFile, guides: tuple[str, ...], chosen: NDArray[np.int64]
) -> tuple[Stack, NDArray[np.int64], frozenset[str]]:
    """(the sum of the guides, indices of the angles that all have, elements measured nowhere), one stack at a time."""
    total: Any = None
    seen = np.ones(len(chosen), dtype=bool)
    unmeasured = set()
    for element in source.elements:
        stack = source.read(element)[chosen]
        there = np.isfinite(stack).any(axis=(1, 2))
        if not there.any():
            unmeasured.add(element)
            continue
        seen &= there
        if element in guides:
            stack[~np.isfinite(stack)] = np.nan
            stack /= max(abs(float(np.nanmean(stack[there], dtype=np.float64))), float(np.finfo(np.float32).tiny))
            total = stack if total is None else total + stack
    if total is None:
        raise ValueError(f"no pixel of {', '.join(guides)} was measured: all are NaN")
    if not seen.any():
        raise ValueError("no projection has measured pixels in every element: choose some with --element")
    return total[seen], chosen[seen], frozenset(unmeasured)


def _reprojector(n_angles: int) -> ByEngine:
    subsets = min(_REPROJECTION_SUBSETS, n_angles)
    return ByEngine(ALGORITHMS["osem"], {"n_iterations": _REPROJECTION_ITERATIONS, "n_subsets": subsets})
