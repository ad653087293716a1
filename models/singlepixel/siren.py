"""Maps as a function of place: a small network with sines, fitted to one measurement."""

from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

WIDTH, DEPTH = 64, 3
_OUTPUT_SHARE = 0.1


class Siren(nn.Module):
    """(pixel, 2) places to (pixel, channel) values.

    Args:
        channels: of the output.
        omega: of every layer.
        generator: draws the start.
        width, depth: of the hidden layers.

    Source: Sitzmann et al., NeurIPS 33 (2020) 7462, eq. 1 and section 3.2 (the start); Li et al., PNAS 120 (2023)
    e2314542120, Materials and Methods.
    """

    def __init__(
        self, channels: int, omega: float, generator: torch.Generator, width: int = WIDTH, depth: int = DEPTH
    ) -> None:
        super().__init__()
        self._omega = omega
        sizes = [2] + [width] * depth
        hidden = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self._hidden = nn.ModuleList(hidden)
        self._last = nn.Linear(width, channels)
        bound = sqrt(6 / width) / omega
        with torch.no_grad():
            for number, layer in enumerate(hidden):
                reach = 0.5 if number == 0 else bound
                layer.weight.uniform_(-reach, reach, generator=generator)
                layer.bias.uniform_(-reach, reach, generator=generator)
            self._last.weight.uniform_(-bound, bound, generator=generator).mul_(omega * _OUTPUT_SHARE)
            self._last.bias.zero_()

    def forward(self, places: Tensor) -> Tensor:
        """(pixel, 2) in the field's [-1, 1] to (pixel, channel)."""
        values = places
        for layer in self._hidden:
            values = torch.sin(self._omega * layer(values))
        last: Tensor = self._last(values)
        return last


def places(shape: tuple[int, int], device: torch.device) -> Tensor:
    """(pixel, 2) centres of the pixels of a field from -1 to 1."""
    along = [(torch.arange(n, device=device) + 0.5) / n * 2 - 1 for n in shape]
    return torch.stack(torch.meshgrid(*along, indexing="ij"), -1).reshape(-1, 2)
