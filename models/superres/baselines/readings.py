"""What the classical methods share: readings of a scan as counts, their solutions, the way from and to element maps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.physics.flyscan import FlyScanOperator, matched_probe
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.baselines.seen import Solution
from models.superres.bicubic import BicubicEnhancer
from models.superres.coarse import OUTLYING, CoarseMap, coarse_maps
from models.superres.consistency import consistency
from models.superres.enhancer import EnhancedMaps, check_scale
from models.xrf.maps import ElementMaps

_TYPICAL = 0.95  # quantile of the variance; a point far beyond it failed, and says so
_LEAST_MEAN = 1e-3  # of the mean magnitude: a map of pure noise still has a few counts
_TUNED_COUNTS = (1.0, 1e5)  # beyond these a rule keeps its value
Solve = Callable[[NDArray[np.float64], float, NDArray[np.bool_], FlyScanOperator], Solution]
"""From readings (y, x), their counts per unit, what of them was measured, and the scan."""


@dataclass(frozen=True)
class CountRule:
    """A strength of regularisation that falls with the counts: factor * counts^exponent / scale.

    Attributes:
        factor: at one typical count.
        exponent: negative.
    """

    factor: float
    exponent: float

    def at(self, counts: float, scale: int) -> float:
        """The strength for the `typical_counts` of a map and the fine pixels per coarse pixel."""
        lowest, highest = _TUNED_COUNTS
        return float(self.factor * min(max(counts, lowest), highest) ** self.exponent / scale)


@dataclass(frozen=True)
class Counts:
    """Readings as counts, divided by the typical count, so that steps and tolerances have one size for all maps.

    Attributes:
        relative: (y, x) counts over ``typical``, 0 where not measured.
        measured: (y, x) 1 where measured, 0 elsewhere.
        typical: counts, see `typical_counts`.
        per_unit: what a fine map in the readings' unit is multiplied by to explain ``relative``.
    """

    relative: Tensor
    measured: Tensor
    typical: float
    per_unit: float


def as_counts(
    readings: NDArray[np.floating], counts_per_unit: float, mask: NDArray[np.bool_], operator: FlyScanOperator
) -> Counts | None:
    """Readings made ready for the Poisson methods; None where not one count was measured.

    Args:
        readings: (y, x), not negative where measured.
        counts_per_unit: counts that make a reading of 1.
        mask: (y, x), True where measured.
        operator: of the scan.

    Raises:
        ValueError: shapes differ from the operator's, a measured reading is negative or no number, or
            ``counts_per_unit`` is not positive.
    """
    check_readings(readings, mask, operator)
    if not 0 < counts_per_unit < np.inf:
        raise ValueError(f"counts_per_unit is {counts_per_unit}: pass the counts that make a reading of 1, above 0")
    if (least := float(readings[mask].min())) < 0:
        raise ValueError(f"the least reading is {least:g}, and counts are needed: clip readings at 0")
    if not readings[mask].any():
        return None
    counts = np.where(mask, readings, 0) * counts_per_unit
    typical = typical_counts(counts[mask])
    return Counts(
        relative=torch.from_numpy((counts / typical).astype(np.float32)),
        measured=torch.from_numpy(mask.astype(np.float32)),
        typical=typical,
        per_unit=counts_per_unit / typical,
    )


def typical_counts(counts: NDArray[np.floating]) -> float:
    """How bright a map is where there is specimen: its expected count, averaged over its counts; never below 1.

    It is sum(n^2) / sum(n) - 1. Empty points do not lower it, and noise does not raise it: a Poisson variable of mean m
    has E[n^2] - E[n] = m^2.
    """
    total = float(np.sum(counts))
    return max(float(np.sum(counts**2)) / total - 1, 1.0) if total > 0 else 1.0


def check_readings(readings: NDArray[np.floating], mask: NDArray[np.bool_], operator: FlyScanOperator) -> None:
    """Raise ValueError for readings that do not fit the scan."""
    for name, array in (("readings", readings), ("mask", mask)):
        if array.shape != operator.shape:
            raise ValueError(f"{name} of shape {array.shape} came with a scan of {operator.shape} points: pass its own")
    if not mask.any():
        raise ValueError("the mask is False everywhere: there is nothing to start from")
    if not np.isfinite(readings[mask]).all():
        raise ValueError("some measured readings are no numbers: set the mask to False there")


def enhanced_by(solve: Solve, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
    """Every element by a classical method.

    These methods have no sigma of their own. It is that of bicubic, joined with the difference between the two maps:
    one of them has that error at least by half. Nothing is tuned.

    Raises:
        ValueError: scale is below 1, or an element was measured nowhere.
    """
    check_scale(scale)
    shape = (coarse.mask.shape[0], coarse.mask.shape[1])
    matched, binning = matched_probe(probe, coarse.pixel_size_nm, scale)
    operator = FlyScanOperator(matched, shape, scale, motion, binning)
    values = np.array([_solved(solve, element, operator) for element in coarse_maps(coarse)], np.float32)
    bicubic = BicubicEnhancer().enhance(coarse, probe, motion, scale)
    return EnhancedMaps(
        elements=coarse.elements,
        values=values,
        sigma=np.hypot(bicubic.sigma, values - bicubic.values),
        consistency=consistency(values, coarse, probe, motion, scale),
        pixel_size_nm=coarse.pixel_size_nm / scale,
    )


def _solved(solve: Solve, element: CoarseMap, operator: FlyScanOperator) -> NDArray[np.float32]:
    """Points that failed, and say so by their variance, have no weight; the others are taken as equally good."""
    typical = np.quantile(element.variance[element.measured], _TYPICAL)
    sound = element.measured & (element.variance <= OUTLYING * typical)
    values = element.values[sound]
    mean = max(float(values.mean()), _LEAST_MEAN * float(np.abs(values).mean()), float(np.finfo(np.float32).tiny))
    return solve(element.values, mean / float(element.variance[sound].mean()), sound, operator).values
