"""What the transmission image says of element maps: where edges are, and how high."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.float64]

_DENOISE = 1.3  # weight of total variation in units of the noise
_ROUNDS = 60
_STEP = 0.25  # of the dual ascent; converges up to 1/4
_MAD = 0.6745  # median absolute deviation of a normal distribution of unit width


def image_noise(image: NDArray[np.floating]) -> float:
    """Standard deviation of white noise in a (y, x) image, from the diagonal detail of 2 x 2 pixels.

    Source: Donoho and Johnstone, Biometrika 81 (1994) 425 (median of the finest wavelet coefficients).
    """
    values = np.asarray(image, np.float64)
    detail = (values[1:, 1:] - values[1:, :-1] - values[:-1, 1:] + values[:-1, :-1]) / 2
    return float(np.median(np.abs(detail))) / _MAD if detail.size else 0.0


def denoised(image: NDArray[np.floating]) -> Image:
    """A (y, x) image without its white noise, by total variation weighted with what noise it has; edges stay.

    Source: Chambolle, J. Math. Imaging Vis. 20 (2004) 89, equation 9.
    """
    values = np.asarray(image, np.float64)
    weight = _DENOISE * image_noise(values)
    if weight == 0:
        return values
    dual = np.zeros((2, *values.shape))
    for _ in range(_ROUNDS):
        slopes = np.stack(differences(_divergence(dual) - values / weight))
        dual = (dual + _STEP * slopes) / (1 + _STEP * np.hypot(slopes[0], slopes[1]))
    return values - weight * _divergence(dual)


def differences(image: Image) -> tuple[Image, Image]:
    """Forward differences of (..., y, x) along y and x, zero at the far border."""
    along_y, along_x = np.zeros_like(image), np.zeros_like(image)
    along_y[..., :-1, :] = image[..., 1:, :] - image[..., :-1, :]
    along_x[..., :, :-1] = image[..., :, 1:] - image[..., :, :-1]
    return along_y, along_x


def _divergence(field: Image) -> Image:
    """Minus the adjoint of `differences`."""
    out = np.zeros_like(field[0])
    out[:-1, :] += field[0, :-1, :]
    out[1:, :] -= field[0, :-1, :]
    out[:, :-1] += field[1, :, :-1]
    out[:, 1:] -= field[1, :, :-1]
    return np.asarray(out)


def shares(patterns: NDArray[np.floating], signals: Image, image: Image) -> NDArray[np.float64]:
    """(E,) s that makes the patterns' light on s times the image read as nearly as possible as each element's signals.

    Args:
        patterns: (N, y, x).
        signals: (N, E).
        image: (y, x).
    """
    read = np.asarray(patterns, np.float32).reshape(len(patterns), -1) @ image.reshape(-1).astype(np.float32)
    power = float(read.astype(np.float64) @ read)
    return np.asarray(read @ signals / power if power > 0 else np.zeros(signals.shape[1]), np.float64)


def gradient_mismatch(maps: Tensor, target: Tensor) -> Tensor:
    """Mean of |grad maps - grad target| over pixels, summed over maps, (E, y, x) each: the L1 term of Li et al."""
    off = maps - target
    along_y, along_x = off[:, 1:] - off[:, :-1], off[:, :, 1:] - off[:, :, :-1]
    per_pixel: Tensor = (along_y.abs().sum() + along_x.abs().sum()) / (maps.shape[1] * maps.shape[2])
    return per_pixel
