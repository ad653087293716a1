"""The enhancer's contract: coarse maps and a kernel in, fine maps with sigma and consistency out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.scan import Motion
from models.xrf.maps import ElementMaps


@dataclass(frozen=True)
class EnhancedMaps:
    """Fine maps; their pixel (s*i + a, s*j + b) lies under coarse pixel (i, j), 0 <= a, b < s.

    Attributes:
        elements: names in the order of the first axis.
        values: (element, s*y, s*x) in ug/cm^2, float32, finite everywhere.
        sigma: (element, s*y, s*x), one standard deviation of ``values``, same unit; large where the measurement was
            missing.
        consistency: (element, y, x), the measured minus the re-blurred enhanced map in units of the measurement's
            standard deviation, as chi^2 per point averaged over 3x3 points; about 1 or below where the fine map
            explains the measurement, NaN where not measured.
        pixel_size_nm: of the fine grid.
        remarks: warnings of the enhancer about this scan, in words.
        computed_on: device and numbers that did it, in words.
    """

    elements: tuple[str, ...]
    values: NDArray[np.float32]
    sigma: NDArray[np.float32]
    consistency: NDArray[np.float32]
    pixel_size_nm: float
    remarks: tuple[str, ...] = ()
    computed_on: str = "cpu, float64"


Factors = tuple[tuple[float, float], ...]
"""(peak counts, factor on sigma), counts increasing; interpolated on a logarithmic scale of counts."""


def factor_at(factors: Factors, counts: float, default: float = 1.0) -> float:
    """The factor at some peak counts; that of the nearest end beyond the table, the default for an empty one."""
    if not factors:
        return default
    levels, values = (np.array(column) for column in zip(*factors, strict=True))
    return float(np.interp(np.log(counts), np.log(levels), values))


@dataclass(frozen=True)
class Calibration:
    """What `models.superres.evaluation.calibration` found of an enhancer, by peak counts.

    Attributes:
        sigma: on the enhancer's own sigma, which it has applied itself.
        denied_above: size of `models.superres.consistency.denial` that 99 % of the points of right maps stay below;
            never above `CHANCE`, and that if empty.
    """

    sigma: Factors = ()
    denied_above: Factors = ()


CHANCE = 2.576
"""Size of a normal deviate that one in 100 exceeds."""
NOT_CALIBRATED = Calibration()


class Enhancer(Protocol):
    """Anything that turns coarse maps into fine ones for a known probe."""

    @property
    def name(self) -> str:
        """Short name, as in settings: ``lmmse``, ``bicubic``."""

    @property
    def digest(self) -> str:
        """Changes whenever the result for the same input may change (parameters, weights, version)."""

    @property
    def calibration(self) -> Calibration:
        """Of its uncertainty."""

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale."""


def check_scale(scale: int) -> None:
    """Raise ValueError for what is no scale."""
    if scale < 1:
        raise ValueError(f"scale is {scale}: pass the number of fine pixels per coarse pixel, at least 1")
