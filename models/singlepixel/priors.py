"""What is assumed of element maps: few edges, edges where the TXM image has them, and a known sum."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.singlepixel.guide import Guide

_TINY = 1e-9


class Prior(Protocol):
    """Two proximal steps of maps (problem, element, y, x): of their differences, and of their values."""

    @property
    def penalty_per_noise(self) -> float:
        """About the best lambda over the noise of a measurement."""

    def shrink(self, along_y: Tensor, along_x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Of the penalty on differences, at a threshold in the maps' unit."""

    def admit(self, values: Tensor, threshold: float) -> Tensor:
        """Of the penalty on values, non-negative ones only."""

    def resampled(self, n_problems: int, rng: np.random.Generator) -> "Prior":
        """With what was measured of it measured again, for each problem by itself."""


@dataclass(frozen=True)
class TotalVariation:
    """Isotropic total variation of each element by itself.

    Source: Rudin, Osher, Fatemi, Physica D 60 (1992) 259.
    """

    penalty_per_noise: float = 0.25

    def shrink(self, along_y: Tensor, along_x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """See `Prior`."""
        kept = _kept((along_y.square() + along_x.square()).sqrt(), threshold)
        return kept * along_y, kept * along_x

    def admit(self, values: Tensor, threshold: float) -> Tensor:  # noqa: ARG002
        """See `Prior`."""
        return values.clamp_min(0)

    def resampled(self, n_problems: int, rng: np.random.Generator) -> "TotalVariation":  # noqa: ARG002
        """Itself: nothing of it was measured."""
        return self


@dataclass(frozen=True, eq=False)
class GuidedVariation:
    """Directional total variation, coupled over elements: where the TXM image has an edge, one across it costs less.

    sum over pixels of w |(n . grad x_e)_e| + |(t . grad x_e)_e|, with n along the gradient of the TXM image, t across
    it, and w = 1 / (1 + |grad I| / kappa); plus, where ``weights`` are given, sum_share |sum_e mu_e x_e + b - I|.

    Attributes:
        guide: the TXM image's edges.
        image: (y, x), or one for each problem (problem, 1, y, x), I - b that the elements absorb; None: no such term.
        weights: (element,) mu, absorption of each element's unit.
        sum_share: weight of that term relative to the variation's, for all pixels or (y, x) each.

    Source: Ehrhardt and Betcke, SIAM J. Imaging Sci. 9 (2016) 1084 (directional TV, eq. 2.7); the coupling is that of
    Moller et al., SIAM J. Imaging Sci. 7 (2014) 1862.
    """

    guide: Guide
    image: Tensor | None = None
    weights: Tensor | None = None
    sum_share: float | Tensor = 1.0
    penalty_per_noise: float = 0.5

    def shrink(self, along_y: Tensor, along_x: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """See `Prior`."""
        ny, nx = self.guide.normal_y, self.guide.normal_x
        across, along = along_y * ny + along_x * nx, along_x * ny - along_y * nx
        across = across * _kept(across.square().sum(1, keepdim=True).sqrt(), threshold * self.guide.weight)
        along = along * _kept(along.square().sum(1, keepdim=True).sqrt(), threshold)
        return across * ny - along * nx, across * nx + along * ny

    def admit(self, values: Tensor, threshold: float) -> Tensor:
        """See `Prior`."""
        if self.weights is None or self.image is None:
            return values.clamp_min(0)
        return nearest_with_sum(values, self.image, self.weights, threshold * self.sum_share)

    def resampled(self, n_problems: int, rng: np.random.Generator) -> "GuidedVariation":
        """With the noise of the TXM image once more on the sum; its edges stay, which stand far above it."""
        if self.image is None:
            return self
        drawn = rng.standard_normal((n_problems, 1, *self.image.shape[-2:]), np.float32)
        return replace(self, image=self.image + self.guide.noise * torch.from_numpy(drawn).to(self.image.device))


def nearest_with_sum(values: Tensor, image: Tensor, weights: Tensor, most: float | Tensor) -> Tensor:
    """Minimise |u - v|^2 / 2 + most |mu . u - I| over u >= 0 in every pixel.

    The minimum is u = max(v - t mu, 0) with the t within +-most that brings mu . u nearest to I; mu . u falls piecewise
    linearly with t, so that Newton's method from the left ends in as many steps as there are elements.

    Args:
        values: (problem, element, y, x).
        image: (y, x) or (problem, 1, y, x) I.
        weights: (element,), not negative.
        most: largest |t|, of all pixels or (y, x).
    """
    mu = weights[:, None, None]
    most = torch.as_tensor(most, dtype=values.dtype, device=values.device)
    excess = torch.zeros_like(values[:, :1]) - most
    for _ in range(len(weights) + 1):
        positive = values - excess * mu
        active = positive > 0
        slope = (mu.square() * active).sum(1, keepdim=True)
        miss = (mu * positive * active).sum(1, keepdim=True) - image
        excess = torch.where(miss > 0, excess + miss / slope.clamp_min(_TINY), excess).clamp(-most, most)
    return (values - excess * mu).clamp_min(0)


def _kept(size: Tensor, threshold: float | Tensor) -> Tensor:
    """What a soft threshold leaves of a vector of this size, relative to it."""
    return (1 - threshold / size.clamp_min(_TINY)).clamp_min(0)
