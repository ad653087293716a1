"""How near an estimate comes to the truth: PSNR, SSIM and NRMSE of images and volumes.

Nothing is rescaled, shifted or clipped before the comparison: a wrong unit or a bias counts against the estimate.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SSIM_SIGMA_PX = 1.5
_SSIM_RADIUS_PX = 5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03
"""Window of 11 taps and constants of Wang et al. (2004)."""


def psnr(estimate: ArrayLike, truth: ArrayLike, data_range: float | None = None, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 20 log10(data_range / rms error); infinite for equal arrays.

    Args:
        estimate: any shape.
        truth: of the same shape.
        data_range: None: the largest minus the smallest true value within the mask.
        mask: True where to compare; None: everywhere.

    Raises:
        ValueError: shapes differ, values to compare are not finite, or the truth is constant and no range is given.
    """
    values, true, inside = _comparable(estimate, truth, mask)
    error = float(np.sqrt(np.mean((values - true)[inside] ** 2)))
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(np.float64(_range(true, inside, data_range)) / error))


def nrmse(estimate: ArrayLike, truth: ArrayLike, mask: Mask | None = None) -> float:
    """Root of the summed squared error over the root of the summed squared truth.

    Raises:
        ValueError: shapes differ, values to compare are not finite, or the truth is zero everywhere.
    """
    values, true, inside = _comparable(estimate, truth, mask)
    norm = float(np.linalg.norm(true[inside]))
    if norm == 0:
        raise ValueError("the truth is zero everywhere: an error relative to it has no meaning")
    return float(np.linalg.norm((values - true)[inside])) / norm


def ssim(estimate: ArrayLike, truth: ArrayLike, data_range: float | None = None, mask: Mask | None = None) -> float:
    """Mean structural similarity in 2D or 3D with a Gaussian window of sigma 1.5 pixels.

    Windows reach 5 pixels; only those wholly inside the array count. Pixels outside the mask have no weight in any.

    Args:
        estimate: (y, x) or (z, y, x), at least 11 along each axis.
        truth: of the same shape.
        data_range: None: the largest minus the smallest true value within the mask.
        mask: True where to compare; None: everywhere.

    Raises:
        ValueError: as `psnr`, or the array is smaller than a window.

    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 13 (2004) 600, equation 13.
    """
    values, true, inside = _comparable(estimate, truth, mask)
    if min(true.shape) < 2 * _SSIM_RADIUS_PX + 1:
        raise ValueError(f"arrays have shape {true.shape}: a window needs {2 * _SSIM_RADIUS_PX + 1} pixels a side")
    span = _range(true, inside, data_range)
    weight = inside.astype(np.float64)
    total = np.maximum(_smooth(weight), np.finfo(np.float64).tiny)

    def mean(array: Array) -> Array:
        return _smooth(np.where(inside, array, 0.0)) / total

    mean_x, mean_y = mean(values), mean(true)
    variance_x, variance_y = mean(values**2) - mean_x**2, mean(true**2) - mean_y**2
    covariance = mean(values * true) - mean_x * mean_y
    c1, c2 = (_SSIM_K1 * span) ** 2, (_SSIM_K2 * span) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    interior = (slice(_SSIM_RADIUS_PX, -_SSIM_RADIUS_PX),) * true.ndim
    if not inside[interior].any():
        raise ValueError(f"the mask leaves nothing {_SSIM_RADIUS_PX} pixels from the border: compare a larger region")
    return float(similarity[interior][inside[interior]].mean())


def _smooth(array: Array) -> Array:
    smoothed: Array = gaussian_filter(array, _SSIM_SIGMA_PX, mode="constant", radius=_SSIM_RADIUS_PX)
    return smoothed


def _comparable(estimate: ArrayLike, truth: ArrayLike, mask: Mask | None) -> tuple[Array, Array, Mask]:
    values, true = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if values.shape != true.shape:
        raise ValueError(
            f"the estimate has shape {values.shape} and the truth {true.shape}: compare arrays on one grid"
        )
    inside = np.ones(true.shape, dtype=bool) if mask is None else mask
    if inside.shape != true.shape:
        raise ValueError(f"the mask has shape {inside.shape} for arrays of {true.shape}: pass one of the same shape")
    if not inside.any():
        raise ValueError("there is nothing to compare: the mask is False everywhere")
    for name, array in (("estimate", values), ("truth", true)):
        if not np.isfinite(array[inside]).all():
            raise ValueError(f"the {name} has values that are not finite: pass a mask that leaves them out")
    return values, true, inside


def _range(truth: Array, inside: Mask, data_range: float | None) -> float:
    span = float(np.ptp(truth[inside])) if data_range is None else float(data_range)
    if not span > 0:
        raise ValueError(f"the data range is {span}: pass a positive data_range")
    return span
