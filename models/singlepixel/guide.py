"""What the transmission picture tells of where edges are."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.differences import differences, least_variation

Image = NDArray[np.float32]

_SMOOTHING = 1.33
"""Weight of the picture's own total variation, in its noise: 0.02 at 1.5 % noise, tuned there on one specimen."""
_EDGE = 1.33
"""Gradient, in the picture's noise, at which the weight of an edge is a half."""
_LEAST_NOISE = 0.003
"""Of the picture's range: below it, it is the specimen's texture that is told apart, not the noise."""


@dataclass(frozen=True, eq=False)
class Guide:
    """Direction and strength of edges, of one picture or of R of them; all (R or 1, 1, y, x)."""

    weight: Tensor
    """Of what goes across an edge: one in flat places, near zero at edges."""
    normal_y: Tensor
    normal_x: Tensor


def picture_noise(picture: Image) -> float:
    """Standard deviation of a picture's noise, from second differences of neighbours, which edges rarely change."""
    second = picture[1:, 1:] - picture[1:, :-1] - picture[:-1, 1:] + picture[:-1, :-1]
    return float(np.median(np.abs(second))) / (2 * 0.6745) if second.size else 0.0


def guide_of(pictures: Tensor, noise: float) -> Guide:
    """The guide of pictures (R, y, x) of range one.

    Args:
        pictures: one, or several of the same specimen.
        noise: their standard deviation.
    """
    noise = max(noise, _LEAST_NOISE)
    image = least_variation(pictures, _SMOOTHING * noise)
    gy, gx = differences(image)
    length = torch.sqrt(gy**2 + gx**2)
    sure = length.clamp_min(1e-6)
    is_flat = length < 1e-6
    normal_y, normal_x = torch.where(is_flat, 1.0, gy / sure), torch.where(is_flat, 0.0, gx / sure)
    return Guide(*(part[:, None] for part in (1 / (1 + length / (_EDGE * noise)), normal_y, normal_x)))
