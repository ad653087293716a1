"""One curve, every criterion in use: bits with an effective number of voxels, 1/7, and one half against the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.correlation import FourierCorrelation, Resolution, crossing, fourier_correlation, resolution

ONE_SEVENTH = 1 / 7
"""Of two halves; their sum then correlates with the truth by one half.

Source: Rosenthal, Henderson, J. Mol. Biol. 333 (2003) 721.
"""
ONE_HALF = 0.5
"""Of an estimate with the truth, as their signal and error are then equal."""


@dataclass(frozen=True)
class HalvesResolution:
    """How fine two independent halves agree, by each criterion.

    Attributes:
        half_bit, one_bit: by bits of information per voxel; they know how many voxels a shell has.
        one_seventh: by a fixed threshold, which does not.
        n_eff_factor: independent share of the Fourier voxels that the bits were counted with.
    """

    half_bit: Resolution
    one_bit: Resolution
    one_seventh: Resolution
    n_eff_factor: float


def halves_resolution(curve: FourierCorrelation, pixel_size_nm: float, n_eff_factor: float = 1.0) -> HalvesResolution:
    """The resolution of two independent halves by half a bit, one bit and 1/7.

    Args:
        curve: of the halves, by `fourier_correlation`.
        pixel_size_nm: of their grid.
        n_eff_factor: 1 is usual; `effective_share` of a mask; half of it again counts Friedel pairs once.

    Raises:
        ValueError: n_eff_factor makes no sense.
    """
    return HalvesResolution(
        resolution(curve, pixel_size_nm, 0.5, n_eff_factor),
        resolution(curve, pixel_size_nm, 1.0, n_eff_factor),
        crossing(curve, ONE_SEVENTH, pixel_size_nm, "threshold 1/7"),
        n_eff_factor,
    )


def truth_resolution(
    estimate: NDArray[np.float32],
    truth: NDArray[np.float32],
    pixel_size_nm: float,
    mask: NDArray[np.float32] | None = None,
) -> Resolution:
    """Where the correlation with the truth falls below one half; only simulation knows it.

    Args:
        estimate, truth: (y, x) or (z, y, x), finite.
        pixel_size_nm: of their grid.
        mask: multiplies both; None: none.

    Raises:
        ValueError: as `fourier_correlation`.
    """
    return crossing(
        fourier_correlation(estimate, truth, mask), ONE_HALF, pixel_size_nm, "threshold 1/2 against the truth"
    )


def effective_share(mask: NDArray[np.float32]) -> float:
    """Independent share of the Fourier voxels of masked noise: (sum m^2)^2 / (N sum m^4), the filled part of the box.

    Raises:
        ValueError: the mask is zero everywhere.
    """
    squares = np.square(mask, dtype=np.float64)
    fourth = float(np.square(squares).sum())
    if not fourth > 0:
        raise ValueError("the mask is zero everywhere: nothing would be compared")
    return float(squares.sum()) ** 2 / (mask.size * fourth)
