"""Fitting a network's maps to whitened measurements, their edges to those of the TXM image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.differences import differences
from models.singlepixel.heads import Head
from models.singlepixel.siren import Siren, places
from models.singlepixel.whitening import WhiteRows

_LAST_RATE = 0.05
_SIDE = 80.0

Told = Callable[[float], None]


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted.

    Attributes:
        omega: of its layers.
        rate: of Adam, at the start.
        steps: of Adam.
    """

    omega: float
    rate: float
    steps: int


MATCHING = Recipe(20.0, 3e-3, 200)
"""With the edge match: 250 steps end 0.1 to 0.2 dB above and take a quarter longer, 400 at 1e-3 end below."""
SHARING = Recipe(10.0, 1e-3, 250)
"""Shares are smooth and nothing else holds them: omega 20 or a faster rate fits noise, 2 to 6 dB off at 1e4 counts."""


@dataclass(frozen=True, eq=False)
class EdgeMatch:
    """lambda |grad x - s grad I|_1, the mean over the field of the length of its edges, whatever its pixels are.

    Attributes:
        image: (y, x) TXM image without its noise.
        shares: (element,) s: how much of the image each element would be, if it were all of it.
        lam: lambda.

    Source: Li et al., PNAS 120 (2023) e2314542120, Materials and Methods (the loss).
    """

    image: Tensor
    shares: Tensor
    lam: float

    def penalty(self, maps: Tensor) -> Tensor:
        """Of maps (pixel, element)."""
        images = maps.T.reshape(-1, *self.image.shape)
        (along_y, along_x), (edge_y, edge_x) = differences(images), differences(self.image)
        shares = self.shares[:, None, None]
        off = (along_y - shares * edge_y).abs().sum() + (along_x - shares * edge_x).abs().sum()
        penalty: Tensor = self.lam * off / (_SIDE * self.image.numel() ** 0.5)
        return penalty


def fitted(
    white: WhiteRows,
    head: Head,
    edges: EdgeMatch | None,
    recipe: Recipe,
    seed: int,
    *,
    told: Told | None = None,
) -> Siren:
    """The network whose maps minimise |A f - y|^2 + lambda |grad f - s grad I|_1, by Adam.

    Args:
        white: the measurements.
        head: makes elements of the network's outputs.
        edges: the second term; None: none.
        recipe: of the fit.
        seed: of the start.
        told: called with the fraction done.

    Source: Li et al., PNAS 120 (2023) e2314542120, Materials and Methods; Kingma and Ba, arXiv:1412.6980 (Adam).
    """
    device = white.rows.device
    network = Siren(head.channels, recipe.omega, torch.Generator().manual_seed(seed)).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps, recipe.rate * _LAST_RATE)
    where = places(white.shape, device)
    for step in range(recipe.steps):
        maps = head(network(where), white.shape)
        loss = white.misfit(maps)
        if edges is not None:
            loss = loss + edges.penalty(maps)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if told is not None:
            told((step + 1) / recipe.steps)
    return network
