"""What projections say of a volume, summed up slab by slab."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float32]
Volume = NDArray[np.float32]


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


@dataclass(frozen=True, eq=False)
class SlabSums:
    """What a slab adds to the quality of a volume.

    Attributes:
        misfit_squares: of the re-projections, where measured.
        data_squares: of the projections, where measured.
        fitted_squares: the same of those that a likelihood sees: negative ones count as zero.
        mass: (angle,) sum of the projections.
        positive, negative: sums of such voxels, both >= 0.
    """

    misfit_squares: float
    data_squares: float
    fitted_squares: float
    mass: NDArray[np.float64]
    positive: float
    negative: float


def slab_sums(slab: Volume, reprojected: Stack, projections: Stack) -> SlabSums:
    """Of some rows; projections (angle, row, x) and their re-projections in ug/cm^2, NaN where not measured."""
    data = np.where(np.isfinite(projections), projections, 0).astype(np.float64)
    misfit = np.where(np.isfinite(projections), reprojected - projections, 0).astype(np.float64)
    positive, negative = (float(np.clip(sign * slab, 0, None).sum(dtype=np.float64)) for sign in (1, -1))
    return SlabSums(
        misfit_squares=float(np.square(misfit).sum()),
        data_squares=float(np.square(data).sum()),
        fitted_squares=float(np.square(np.clip(data, 0, None)).sum()),
        mass=data.sum(axis=(1, 2)),
        positive=positive,
        negative=negative,
    )


def quality_of(slabs: Sequence[SlabSums]) -> Quality:
    """Of the volume that these slabs make, in their order."""
    mass = np.sum([slab.mass for slab in slabs], axis=0)
    misfit, data, positive, negative = (
        sum(getattr(slab, name) for slab in slabs)
        for name in ("misfit_squares", "data_squares", "positive", "negative")
    )
    return Quality(
        reprojection_residual=_ratio(sqrt(misfit), sqrt(data)),
        mass_spread=_ratio(float(mass.std()), abs(float(mass.mean()))),
        negative_fraction=_ratio(negative, positive),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
