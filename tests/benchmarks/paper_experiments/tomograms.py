"""Volumes and their judges: two halves of the data, and the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.correlation import FourierCorrelation, Resolution, crossing, fourier_correlation
from models.quality.criteria import ONE_HALF, effective_share, halves_resolution
from models.quality.masks import cylindrical_mask
from models.quality.metrics import psnr
from models.tomo.algorithms import ALGORITHMS, density_factor

Volume = NDArray[np.float32]
Angles = NDArray[np.float64]

_OSPML = ALGORITHMS["ospml_hybrid"]
_BORDER_NM = 60.0
"""Rows at the upper and lower end, and columns at the rim, that do not count, and the width of the mask's edge."""


def reconstructed(stack: Volume, angles_deg: Angles, pixel_nm: float, n_iterations: int) -> Volume:
    """(z, y, x) in g/cm^3 by OSPML, the axis in the middle."""
    return _OSPML.reconstruct(stack, angles_deg, stack.shape[-1] / 2, pixel_nm, n_iterations=n_iterations)


def reprojected(volume: Volume, angles_deg: Angles, voxel_nm: float) -> Volume:
    """(angle, y, x) in ug/cm^2."""
    width = volume.shape[-1]
    return _OSPML.project(volume, angles_deg, width / 2, width) / density_factor(voxel_nm)


def mask_of(shape: tuple[int, int, int], voxel_nm: float) -> Volume:
    """A soft cylinder that leaves out what lies next to the border of the field of view."""
    depth, rows, width = shape
    edge_px = _BORDER_NM / voxel_nm
    return cylindrical_mask((depth, rows, width), width / 2 - edge_px, max(rows - 2 * edge_px, rows / 2), edge_px)


@dataclass(frozen=True, eq=False)
class Judged:
    """Of a volume, with the voxels that it stands on.

    Attributes:
        voxel_nm: side of a voxel.
        truth_curve: correlation with the truth.
        halves_curve: of two halves.
        psnr_db: within the mask.
        n_eff_factor: see `models.quality.criteria.effective_share`.
    """

    voxel_nm: float
    truth_curve: FourierCorrelation
    halves_curve: FourierCorrelation
    psnr_db: float
    n_eff_factor: float

    @property
    def of_truth(self) -> Resolution:
        """Where the correlation with the truth falls below one half."""
        return crossing(self.truth_curve, ONE_HALF, self.voxel_nm, "1/2 against the truth")

    @property
    def one_bit(self) -> Resolution:
        """Of the halves."""
        return halves_resolution(self.halves_curve, self.voxel_nm, self.n_eff_factor).one_bit

    @property
    def half_bit(self) -> Resolution:
        """Of the halves."""
        return halves_resolution(self.halves_curve, self.voxel_nm, self.n_eff_factor).half_bit

    def truth_at(self, period_nm: float) -> float:
        """Correlation with the truth at a period, interpolated; NaN where the grid has no such period."""
        return at_period(self.truth_curve, self.voxel_nm, period_nm)

    def figures(self) -> dict[str, object]:
        """For JSON."""
        return {
            "voxel_nm": self.voxel_nm,
            "truth_nm": self.of_truth.period_nm,
            "truth_crossed": self.of_truth.crossed,
            "one_bit_nm": self.one_bit.period_nm,
            "one_bit_crossed": self.one_bit.crossed,
            "half_bit_nm": self.half_bit.period_nm,
            "half_bit_crossed": self.half_bit.crossed,
            "psnr_db": self.psnr_db,
            "n_eff_factor": self.n_eff_factor,
            "frequency_per_nm": (self.truth_curve.frequency_per_px / self.voxel_nm).tolist(),
            "truth_curve": self.truth_curve.values.tolist(),
            "halves_curve": self.halves_curve.values.tolist(),
        }


def judged(volume: Volume, halves: tuple[Volume, Volume], truth: Volume, voxel_nm: float) -> Judged:
    """By halves and truth, under one soft mask."""
    mask = mask_of((truth.shape[0], truth.shape[1], truth.shape[2]), voxel_nm)
    with_truth = fourier_correlation(volume, truth, mask)
    between = fourier_correlation(*halves, mask)
    return Judged(voxel_nm, with_truth, between, psnr(volume, truth, mask=mask > ONE_HALF), effective_share(mask))


def at_period(curve: FourierCorrelation, voxel_nm: float, period_nm: float) -> float:
    """A correlation between its shells; NaN beyond the grid's own limit of two voxels."""
    if period_nm < 2 * voxel_nm * (1 - 1e-9):
        return float("nan")
    return float(np.interp(voxel_nm / period_nm, curve.frequency_per_px, curve.values))


def period(found: Resolution) -> str:
    """A resolution for a table: with a sign where it is the grid's own limit and no measurement."""
    return f"{found.period_nm:.1f}" if found.crossed else f"<= {found.period_nm:.1f} (grid)"
