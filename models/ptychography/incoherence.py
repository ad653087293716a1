"""What blurs a frame incoherently: the way of the stage during the exposure, and the size of the source.

Either acts as if the probe stood at several places in turn, each with its share of the photons.
"""

import torch
from torch import Tensor

_NEARLY_STILL_PX2 = 1e-6


def places(fly_px: tuple[float, float], source_px: Tensor) -> tuple[Tensor, Tensor]:
    """Three places along each axis in which anything moves, with the exact moments of the blur up to the fifth.

    Along an axis the blur is a box of the stage's way, f, convolved with a Gaussian of the source, s. Places -a, 0, a
    with weights w, 1 - 2w, w have its moments where a^2 = m4 / m2 and w = m2^2 / (2 m4), with m2 = f^2 / 12 + s^2 and
    m4 = 3 m2^2 - f^4 / 120. Without a source it is Gauss-Legendre, without motion Gauss-Hermite quadrature.

    Args:
        fly_px: y and x.
        source_px: (2,) standard deviation along y and x; may need a gradient.

    Returns:
        (place, 2) offsets y and x in pixels, and (place,) shares of the photons.
    """
    offsets, shares = zip(
        *(_along(float(way), sigma) for way, sigma in zip(fly_px, source_px, strict=True)), strict=True
    )
    y, x = torch.meshgrid(*offsets, indexing="ij")
    return torch.stack([y.flatten(), x.flatten()], 1), (shares[0][:, None] * shares[1][None, :]).flatten()


def _along(way_px: float, sigma_px: Tensor) -> tuple[Tensor, Tensor]:
    second = way_px**2 / 12 + sigma_px**2
    if second.item() < _NEARLY_STILL_PX2:
        return sigma_px.new_zeros(1), sigma_px.new_ones(1)
    fourth = 3 * second**2 - way_px**4 / 120
    reach, share = torch.sqrt(fourth / second), second**2 / (2 * fourth)
    return torch.stack([-reach, torch.zeros_like(reach), reach]), torch.stack([share, 1 - 2 * share, share])
