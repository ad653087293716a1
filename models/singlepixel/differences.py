"""Differences of images with edges that reflect, and what total variation alone makes of a noisy picture."""

import torch
from torch import Tensor

_STEPS = 150


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences along y and x of (..., y, x), zero at the far edges."""
    gy, gx = torch.zeros_like(images), torch.zeros_like(images)
    gy[..., :-1, :] = images[..., 1:, :] - images[..., :-1, :]
    gx[..., :, :-1] = images[..., :, 1:] - images[..., :, :-1]
    return gy, gx


def transposed(gy: Tensor, gx: Tensor) -> Tensor:
    """The adjoint of `differences`."""
    out = torch.zeros_like(gy)
    out[..., :-1, :] -= gy[..., :-1, :]
    out[..., 1:, :] += gy[..., :-1, :]
    out[..., :, :-1] -= gx[..., :, :-1]
    out[..., :, 1:] += gx[..., :, :-1]
    return out


def least_variation(picture: Tensor, weight: float) -> Tensor:
    """The minimum of ``1/2 |x - picture|^2 + weight * TV(x)``.

    Source: Beck and Teboulle, IEEE Trans. Image Process. 18 (2009) 2419, fast gradient projection on the dual.
    """
    py, px = torch.zeros_like(picture), torch.zeros_like(picture)
    ry, rx, t = py, px, 1.0
    for _ in range(_STEPS):
        gy, gx = differences(picture - weight * transposed(ry, rx))
        qy, qx = ry + gy / (8 * weight), rx + gx / (8 * weight)
        length = torch.sqrt(qy**2 + qx**2).clamp_min(1)
        qy, qx = qy / length, qx / length
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ry, rx = qy + (t - 1) / following * (qy - py), qx + (t - 1) / following * (qx - px)
        py, px, t = qy, qx, following
    return picture - weight * transposed(py, px)
