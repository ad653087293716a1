"""How well a network in training does on pairs of the same kind that it does not train on."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.simulate import Pairs, draw_pairs
from models.superres.training.presets import Preset

_SEED = 2**30  # beyond the seeds of presets
_IMAGES, _BATCHES, _BATCH = 8, 6, 4


class Validation:
    """A fixed set of pairs from seeds of their own, drawn once.

    Args:
        preset: whose conditions they follow.
        device: of torch.
    """

    def __init__(self, preset: Preset, device: str = "cpu") -> None:
        maps = ProceduralMaps(_SEED, min(_IMAGES, preset.n_images))
        self._pairs = [draw_pairs(maps, preset.conditions, _BATCH, _SEED, step, device) for step in range(_BATCHES)]
        self.bicubic_psnr_db = float(np.mean([_psnr_db(_bicubic(pairs), pairs) for pairs in self._pairs]))

    @torch.inference_mode()
    def psnr_db(self, network: nn.Module) -> float:
        """Mean over maps, full scale 1."""
        training = network.training
        network.eval()
        figures = [_psnr_db(network(pairs.measured).values, pairs) for pairs in self._pairs]
        network.train(training)
        return float(np.mean(figures))


def _bicubic(pairs: Pairs) -> torch.Tensor:
    scale = pairs.measured.scale
    return functional.interpolate(pairs.measured.readings, scale_factor=scale, mode="bicubic", align_corners=False)


def _psnr_db(values: torch.Tensor, pairs: Pairs) -> float:
    error = ((values.float() - pairs.fine) ** 2).mean((1, 2, 3)).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())
