"""The sine network: a map as a function of place, of any pixel size.

Source: Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, NeurIPS 2020 (layers and
their start); Li et al., PNAS 120 (2023), Materials and Methods (the network of NxSCI).
"""

from math import sqrt

import torch
from torch import Tensor

Weights = list[Tensor]

_WIDTH = 64
_HIDDEN = 2
_OMEGA = 20.0
_FIELD_PX = 80  # pixels along the longer side for which _OMEGA was tuned; more pixels hold finer detail
HIDDEN_RATE = _OMEGA
"""By which Adam's rate is higher for all layers but the last: their weights hold the frequency."""
_PHASE_RAD = 2.5  # of the hidden layers' biases
_OUTPUT = 0.1  # of the outputs at the start, so that the first map is nearly flat


def places(shape: tuple[int, int], device: str = "cpu") -> Tensor:
    """(2, y x) middles of pixels; the longer side of the field spans -1 to 1."""
    longest = max(shape)
    y, x = ((torch.arange(n, device=device, dtype=torch.float32) + 0.5 - n / 2) * 2 / longest for n in shape)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")).reshape(2, -1)


def start_weights(n_outputs: int, longest_px: int, seed: int, device: str = "cpu") -> Weights:
    """Weight and bias of each layer; the same for the same seed on every device."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(bound: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * bound

    finest = _OMEGA * longest_px / _FIELD_PX
    bound = sqrt(6 / _WIDTH)
    weights = [uniform(0.5 * finest, _WIDTH, 2), uniform(0.7 * finest, _WIDTH, 1)]
    for _ in range(_HIDDEN):
        weights += [uniform(bound, _WIDTH, _WIDTH), uniform(_PHASE_RAD, _WIDTH, 1)]
    weights += [uniform(bound * _OUTPUT, n_outputs, _WIDTH), torch.zeros(n_outputs, 1)]
    return [w.to(device) for w in weights]


def evaluate(weights: Weights, at: Tensor) -> Tensor:
    """(output, place), outputs in rows so that patterns read them without a copy."""
    layer = at
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        layer = torch.sin(torch.addmm(bias, weight, layer))
    return torch.addmm(weights[-1], weights[-2], layer)
