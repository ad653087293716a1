"""From what a network says of a place to the elements there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, softmax, softplus

from models.singlepixel.measurement import Array

_SHARPNESS = 4.0


@dataclass(frozen=True)
class NonNegative:
    """A channel for each element."""

    channels: int

    def __call__(self, outputs: Tensor, shape: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """(pixel, channel) to (pixel, element)."""
        return softplus(_SHARPNESS * outputs) / _SHARPNESS


@dataclass(frozen=True, eq=False)
class Simplex:
    """Shares of the TXM image's absorption: of classes with known elements, and of one that is inert.

    Attributes:
        amounts: (class, element) per unit of absorption; the last class is inert and has none.
        absorption: (y, x) of the TXM image above its background, not negative.
    """

    amounts: Tensor
    absorption: Tensor

    @property
    def channels(self) -> int:
        """Classes, the inert one too."""
        return len(self.amounts)

    def classes(self, outputs: Tensor, shape: tuple[int, int]) -> Tensor:
        """(pixel, class) absorption by each class."""
        absorption = self.absorption
        if absorption.shape != shape:
            absorption = interpolate(absorption[None, None], shape, mode="bilinear", antialias=True)[0, 0]
        return softmax(_SHARPNESS * outputs, dim=1) * absorption.reshape(-1, 1)

    def __call__(self, outputs: Tensor, shape: tuple[int, int]) -> Tensor:
        """(pixel, channel) to (pixel, element)."""
        return self.classes(outputs, shape) @ self.amounts


Head = NonNegative | Simplex


def element_simplex(weights: Array, absorption: Tensor) -> Simplex:
    """A class for each element.

    Args:
        weights: (element,) mu; an element without absorption could be anywhere and makes an error.
        absorption: (y, x).

    Raises:
        ValueError: an element does not absorb.
    """
    if np.any(weights <= 0):
        raise ValueError(
            f"an element's weight in the TXM image is {weights.min():.3g}: siren-simplex needs all to absorb; "
            "take siren"
        )
    amounts = np.concatenate([np.diag(1 / weights), np.zeros((1, len(weights)))])
    return Simplex(torch.from_numpy(amounts.astype(np.float32)).to(absorption.device), absorption)


def phase_simplex(stoichiometry: Array, weights: Array, absorption: Tensor) -> Simplex:
    """A class for each phase.

    Args:
        stoichiometry: (phase, element) amounts.
        weights: (element,) mu.
        absorption: (y, x).

    Raises:
        ValueError: a phase does not absorb.
    """
    absorbed = stoichiometry @ weights
    if np.any(absorbed <= 0):
        raise ValueError(
            "a phase has no element that the TXM image shows: siren-phase needs all to absorb; take guided"
        )
    amounts = np.concatenate([stoichiometry / absorbed[:, None], np.zeros((1, len(weights)))])
    return Simplex(torch.from_numpy(amounts.astype(np.float32)).to(absorption.device), absorption)
