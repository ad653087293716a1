"""How the variance of a map or volume is spread over spatial frequencies."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from models.quality.correlation import fourier_shells

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PowerSpectrum:
    """Radially averaged power spectral density.

    Attributes:
        frequency_per_nm: (shell,) middles, from 0 to Nyquist's frequency of the shortest side.
        density: (shell,) mean over the shell, in the square of the values' unit times nm^2 (2D) or nm^3 (3D).
        n_voxels: (shell,) Fourier pixels or voxels in each shell of the full transform.
    """

    frequency_per_nm: Array
    density: Array
    n_voxels: NDArray[np.int64]


def power_spectrum(
    values: NDArray[np.float32], pixel_size_nm: float, mask: NDArray[np.float32] | None = None
) -> PowerSpectrum:
    """|F|^2 times the pixel's area or volume over the number of pixels, averaged over rings or shells.

    White noise of variance v has the density v times the pixel's area or volume at every frequency; the integral over
    all frequencies is the mean square.

    Args:
        values: (y, x) or (z, y, x), finite. Its mean is taken off first.
        pixel_size_nm: of the grid.
        mask: multiplies the values, best with soft edges; the density is that of the masked part. None: none.

    Raises:
        ValueError: not 2D or 3D, not finite, or the mask is empty or of another shape.
    """
    if values.ndim not in (2, 3) or not np.isfinite(values).all() or not pixel_size_nm > 0:
        raise ValueError(
            f"values of shape {values.shape} at {pixel_size_nm} nm came: pass an image or a volume, finite, and a "
            "positive pixel size"
        )
    weight = np.ones(values.shape) if mask is None else np.asarray(mask, dtype=np.float64)
    if weight.shape != values.shape or not weight.any():
        raise ValueError(f"the mask has shape {weight.shape} for {values.shape}: pass one that is not zero everywhere")
    mean = float((weight * values).sum() / weight.sum())
    power = np.abs(scipy.fft.rfftn((values - mean) * weight)) ** 2 / np.square(weight).sum()
    shell, multiplicity = fourier_shells(values.shape)
    n_shells = min(values.shape) // 2 + 1

    def summed(terms: Array) -> Array:
        weights = np.broadcast_to(terms * multiplicity, shell.shape)
        return np.bincount(shell.ravel(), weights=weights.ravel(), minlength=n_shells)[:n_shells].astype(np.float64)

    count = summed(np.ones(1))
    frequency = np.arange(n_shells) / (min(values.shape) * pixel_size_nm)
    density = summed(power) / count * pixel_size_nm**values.ndim
    return PowerSpectrum(frequency, density, np.rint(count).astype(np.int64))
