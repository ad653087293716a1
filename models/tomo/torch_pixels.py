"""The pixels' side of an update in torch, a block of image rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tomo.likelihood import LikelihoodSettings

_ACROSS = 0.5**0.5
_ALL_NEIGHBOURS = 4 + 4 * _ACROSS
_NEIGHBOURS = tuple((up, right) for up in (-1, 0, 1) for right in (-1, 0, 1) if up or right)
BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}
"""Of one image in a block of rows: on a CPU the dozen arrays of the penalty then stay in its cache, 11 times faster."""


@dataclass(frozen=True)
class PixelEquations:
    """How pixels move once the rays are projected back.

    Attributes:
        settings: what is to be done.
        size: (z, x) of a slice.
        weights: (z, x, 1) of each neighbour: 1 beside, 1 / sqrt 2 across, 0 outside, scaled to add up to 1.
    """

    settings: LikelihoodSettings
    size: tuple[int, int]
    weights: dict[tuple[int, int], Tensor]

    @classmethod
    def on(cls, device: torch.device, settings: LikelihoodSettings, size: tuple[int, int]) -> "PixelEquations":
        """The equations of slices that lie on a device."""
        (n_z, n_x), inside = size, torch.zeros(size[0] + 2, size[1] + 2, 1, device=device)
        inside[1:-1, 1:-1] = 1
        weights = {
            (up, right): (_ACROSS if up and right else 1.0) * inside[1 + up : 1 + up + n_z, 1 + right : 1 + right + n_x]
            for up, right in _NEIGHBOURS
        }
        total = torch.stack(list(weights.values())).sum(dim=0).clamp_(min=torch.finfo(torch.float32).tiny)
        return cls(settings, size, {place: weight / total for place, weight in weights.items()})

    def solved(self, image: Tensor, back: Tensor, sensitivity: Tensor) -> Tensor:
        """The image after an update; all (padded pixel, slice), ``sensitivity`` perhaps (padded pixel, 1)."""
        updated = torch.zeros_like(image)
        framed, result, back, sensitivity = (self._framed(array) for array in (image, updated, back, sensitivity))
        for rows in self._blocks(image):
            x, toward, slope = (self._pixels(array, rows) for array in (framed, back, sensitivity))
            if self.settings.method == "sirt":
                moved = torch.where(slope > 0, x + toward / slope, x)
            elif self.settings.beta == 0 or self.size == (1, 1):
                moved = torch.where(slope > 0, x * toward / slope, x)
            else:
                moved = self._root(framed, rows, toward, slope)
            self._pixels(result, rows)[:] = moved
        return updated

    def penalty(self, image: Tensor) -> float:
        """beta * sum of w phi over ordered pairs, with the inner pixels' weights."""
        total, framed = 0.0, self._framed(image)
        if not self.settings.beta:
            return total
        for rows in self._blocks(image):
            for place in _NEIGHBOURS:
                difference = self._pixels(framed, rows) - self._pixels(framed, rows, *place)
                difference = torch.where(self.weights[place][rows] > 0, difference, 0.0).abs_()
                weight = self.settings.beta / _ALL_NEIGHBOURS * (_ACROSS if all(place) else 1.0)
                total += weight * float(_potential(difference, self.settings.inverse_delta).sum(dtype=torch.float64))
        return total

    def _root(self, framed: Tensor, rows: slice, toward: Tensor, slope: Tensor) -> Tensor:
        """The positive root, in whichever of its two forms nothing cancels."""
        x = self._pixels(framed, rows)
        curvature, slope = torch.zeros_like(x), slope.expand_as(x).clone()
        for place in _NEIGHBOURS:
            neighbour = self._pixels(framed, rows, *place)
            drawn = torch.sub(x, neighbour).abs_().mul_(self.settings.inverse_delta).add_(1)
            drawn = torch.div(self.weights[place][rows] * (2 * self.settings.beta), drawn, out=drawn)
            curvature.add_(drawn)
            slope.addcmul_(drawn, x + neighbour, value=-1)
        likely = x * toward
        root = torch.addcmul(slope * slope, likely, curvature, value=8).sqrt_()
        return torch.where(slope > 0, 2 * likely / (slope + root), (root - slope) / (4 * curvature))

    def _framed(self, array: Tensor) -> Tensor:
        return array.reshape(self.size[0] + 2, self.size[1] + 2, -1)

    def _pixels(self, framed: Tensor, rows: slice, up: int = 0, right: int = 0) -> Tensor:
        """Pixels of some image rows, or their neighbours."""
        return framed[rows.start + 1 + up : rows.stop + 1 + up, 1 + right : 1 + right + self.size[1]]

    def _blocks(self, image: Tensor) -> Iterator[slice]:
        n_z, row_bytes = self.size[0], 4 * self.size[1] * image.shape[1]
        height = max(1, BLOCK_BYTES[image.device.type] // row_bytes)
        return (slice(first, min(first + height, n_z)) for first in range(0, n_z, height))


def _potential(difference: Tensor, inverse_delta: float) -> Tensor:
    """phi of absolute differences, which are overwritten."""
    if inverse_delta == 0:
        return difference.square_().mul_(0.5)
    scaled = difference.mul_(inverse_delta)
    return (scaled - torch.log1p(scaled)).mul_(inverse_delta**-2)
