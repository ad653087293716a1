"""Forward differences of images, Neumann at the border, and their adjoint."""

import torch
from torch import Tensor


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Along y and along x of (..., y, x), 0 at the far border."""
    along_y, along_x = torch.zeros_like(images), torch.zeros_like(images)
    along_y[..., :-1, :] = images[..., 1:, :] - images[..., :-1, :]
    along_x[..., :-1] = images[..., 1:] - images[..., :-1]
    return along_y, along_x


def differences_adjoint(along_y: Tensor, along_x: Tensor) -> Tensor:
    """The adjoint of `differences`; what stands at the far borders is not read."""
    images = torch.zeros_like(along_y)
    images[..., 1:, :] += along_y[..., :-1, :]
    images[..., :-1, :] -= along_y[..., :-1, :]
    images[..., 1:] += along_x[..., :-1]
    images[..., :-1] -= along_x[..., :-1]
    return images
