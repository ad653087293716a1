"""What the TXM image tells of the element maps: where edges run, and how its absorption is made of the elements."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve
from torch import Tensor

from models.differences import differences, differences_adjoint

Image = NDArray[np.float32]

_KAPPA = 0.02  # of the image's range
_DENOISE = 0.7  # standard deviations of noise
_FLAT = 1e-6  # of the range: no direction
_QUARTER = 0.3186  # a quarter of a normal distribution lies within this of its mean, in standard deviations


@dataclass(frozen=True, eq=False)
class Guide:
    """The edges of a TXM image.

    Attributes:
        image: (y, x) the TXM image without most of its noise, in its own unit.
        noise: standard deviation of its noise.
        weight: (y, x) of a difference along the normal, 1 in flat places and towards 0 at edges.
        normal_y, normal_x: (y, x) unit vector along the gradient; along y where there is none.
    """

    image: Tensor
    noise: float
    weight: Tensor
    normal_y: Tensor
    normal_x: Tensor


def guide_from(txm: Image, device: str = "cpu") -> Guide:
    """Denoise a TXM image and find its edges.

    Args:
        txm: (y, x) absorption, any unit.
        device: of torch.

    Raises:
        ValueError: the image is constant and has no edge to follow.
    """
    noise = noise_of(txm)
    image = denoised(torch.from_numpy(np.ascontiguousarray(txm, np.float32)).to(device), _DENOISE * noise)
    span = float(image.max() - image.min())
    if not span > 0:
        raise ValueError("the TXM image is constant: it has no edges to follow; leave it out")
    along_y, along_x = differences(image)
    size = (along_y.square() + along_x.square()).sqrt()
    kappa = max(_KAPPA * span, noise)
    steep = size > _FLAT * span
    safe = torch.where(steep, size, 1.0)
    normal_y, normal_x = torch.where(steep, along_y / safe, 1.0), torch.where(steep, along_x / safe, 0.0)
    return Guide(image, noise, 1 / (1 + size / kappa), normal_y, normal_x)


def noise_of(image: Image) -> float:
    """Standard deviation of white noise, by the lowest quarter of second differences, which structure passes by.

    Source: Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300 (the mask; the quartile instead of the mean).
    """
    if min(image.shape) < 3:
        return 0.0
    mask = np.outer([1, -2, 1], [1, -2, 1])
    seen = convolve(image.astype(np.float64), mask)[1:-1, 1:-1]
    return float(np.quantile(np.abs(seen), 0.25) / (6 * _QUARTER))


def denoised(image: Tensor, weight: float, iterations: int = 100) -> Tensor:
    """Minimise |u - image|^2 / 2 + weight TV(u).

    Args:
        image: (y, x).
        weight: in the image's unit; 0 returns the image.
        iterations: of the dual ascent.

    Source: Chambolle, J. Math. Imaging Vis. 20 (2004) 89 (projection on the dual), with Nesterov's step as in Beck and
    Teboulle, IEEE Trans. Image Process. 18 (2009) 2419.
    """
    if weight <= 0:
        return image
    dual = torch.stack(differences(torch.zeros_like(image)))
    ahead, momentum = dual, 1.0
    for _ in range(iterations):
        slopes = torch.stack(differences(image - weight * differences_adjoint(ahead[0], ahead[1])))
        moved = ahead + slopes / (8 * weight)
        moved = moved / moved.square().sum(0).sqrt().clamp_min(1)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, dual, momentum = moved + (momentum - 1) / following * (moved - dual), moved, following
    return image - weight * differences_adjoint(dual[0], dual[1])
