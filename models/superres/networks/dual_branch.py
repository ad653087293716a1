"""The network of Zheng et al.: multi-scale blocks beside groups of channel attention, for one probe."""

from dataclasses import dataclass

from torch import Tensor, nn

from models.superres.networks.blocks import MultiScaleBlock, ResidualGroup, convolution, enhanced, upsampler
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction


@dataclass(frozen=True)
class DualBranchConfig:
    """Sizes of a `DualBranch` network; the paper's, but for what its docstring says.

    Attributes:
        channels: of every feature map but those within a multi-scale block.
        n_multi_scale: blocks of the spatial branch.
        n_groups: of the frequency branch.
        n_blocks: channel attention blocks of a group.
        reduction: channels over those that the attention squeezes them to.
        two_levels: of convolutions in a multi-scale block; False: one, as the paper's text has it to the letter.
        scale: 2, 3 or 4; the paper's is 4.
        global_skip: add bicubic interpolation.
        pad: coarse pixels by which a map is mirrored at its border.
    """

    channels: int = 64
    n_multi_scale: int = 5
    n_groups: int = 10
    n_blocks: int = 10
    reduction: int = 16
    two_levels: bool = True
    scale: int = 4
    global_skip: bool = True
    pad: int = 4


class DualBranch(nn.Module):
    """Two branches on the coarse grid, added element by element, then enlarged by pixel shuffles.

    It sees the readings alone: noise, mask and kernel are ignored, so it knows only the probe it was trained for. Its
    attention takes means over the whole map: pieces of a map give another result than the map.

    The paper leaves open the two levels of its blocks (here those of MSRN, which it cites), the layers around the
    branches (here those of RCAN) and the border. It has no global skip: ours is on because training starts far behind
    without it; ``global_skip=False`` is the paper's.

    The default has 11.712 M parameters (8.885 M with one level); 140 x 140 readings to 560 x 560 pixels take 236.9 GMAC
    (181.5), and 12 % more with the mirrored border of 4.

    Source: Zheng et al., Optica 11 (2024) 146, section 2.B, 3.B and Fig. 2.
    """

    def __init__(self, config: DualBranchConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        groups = [ResidualGroup(channels, config.reduction, config.n_blocks) for _ in range(config.n_groups)]
        self.head = convolution(1, channels)
        self.spatial = nn.Sequential(
            *[MultiScaleBlock(channels, config.two_levels) for _ in range(config.n_multi_scale)]
        )
        self.frequency = nn.Sequential(*groups, convolution(channels, channels))
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
        both = self.spatial(shallow) + (shallow + self.frequency(shallow))
        fine: Tensor = self.tail(self.enlarge(both))
        return fine
