"""The residual dense network that Wu et al. used, for one probe it was trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.superres.networks.blocks import ResidualDenseBlock, convolution, enhanced, upsampler
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction


@dataclass(frozen=True)
class RdnConfig:
    """Sizes of an `Rdn` network.

    Attributes:
        channels: between blocks.
        n_blocks: residual dense blocks.
        n_convolutions: of a block.
        growth: channels that each of them adds.
        scale: 2, 3 or 4.
        global_skip: add bicubic interpolation.
        pad: coarse pixels by which a map is mirrored at its border.
    """

    channels: int = 64
    n_blocks: int = 16
    n_convolutions: int = 8
    growth: int = 64
    scale: int = 4
    global_skip: bool = True
    pad: int = 4


class Rdn(nn.Module):
    """Dense blocks on the coarse grid, the results of all of them joined, then enlarged by pixel shuffles.

    It sees the readings alone: noise, mask and kernel are ignored, so it knows only the probe it was trained for.

    Wu et al.'s supplement names the network without its sizes: 16 blocks of 8 convolutions and growth 64 are those in
    use for RDN. RDN has no global skip: ours is on because training starts far behind without it;
    ``global_skip=False`` is the paper's.

    The default has 22.269 M parameters; 140 x 140 readings to 560 x 560 pixels take 445.1 GMAC, and 12 % more with the
    mirrored border of 4.

    Source: Wu et al., npj Comput. Mater. 9 (2023) 43; Zhang et al., CVPR 2018 (RDN).
    """

    def __init__(self, config: RdnConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.head = convolution(1, channels)
        self.second = convolution(channels, channels)
        self.blocks = nn.ModuleList(
            [ResidualDenseBlock(channels, config.growth, config.n_convolutions) for _ in range(config.n_blocks)]
        )
        self.fusion = nn.Sequential(
            convolution(config.n_blocks * channels, channels, 1), convolution(channels, channels)
        )
        self.enlarge = upsampler(channels, config.scale)
        self.tail = convolution(channels, 1)

    def forward(self, measured: Measured) -> Prediction:
        """Enhance a batch of maps.

        Raises:
            ValueError: a scale that the network was not built for.
        """
        config = self.config
        return enhanced(self._trunk, measured, scale=config.scale, pad=config.pad, global_skip=config.global_skip)

    def _trunk(self, readings: Tensor) -> Tensor:
        shallow = self.head(readings)
        features = self.second(shallow)
        results = []
        for block in self.blocks:
            features = block(features)
            results.append(features)
        fine: Tensor = self.tail(self.enlarge(shallow + self.fusion(torch.cat(results, 1))))
        return fine
