"""What the papers' networks are made of, and the frame that all of them stand in."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction

_SHUFFLES = {2: (2,), 3: (3,), 4: (2, 2)}


def convolution(inputs: int, outputs: int, side: int = 3) -> nn.Conv2d:
    """A convolution that keeps the map's size; zeros lie beyond the border."""
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, without batch norm, which would tie a map to others of its batch.

    Source: Lim et al., CVPR Workshops 2017 (EDSR).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels), nn.ReLU(inplace=True), convolution(channels, channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.body(features)
        return result


class MultiScaleBlock(nn.Module):
    """3x3 beside 5x5 convolutions, joined by a 1x1 convolution, beside an identity (MSRB).

    With ``two_levels`` each of a second pair of convolutions sees both of the first, as in MSRN; else one pair only.

    Source: Li et al., ECCV 2018 (MSRN).
    """

    def __init__(self, channels: int, two_levels: bool) -> None:
        super().__init__()
        widths = [channels, 2 * channels] if two_levels else [channels]
        self.narrow = nn.ModuleList([convolution(width, width, 3) for width in widths])
        self.wide = nn.ModuleList([convolution(width, width, 5) for width in widths])
        self.fusion = convolution(2 * widths[-1], channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        both = features
        for narrow, wide in zip(self.narrow, self.wide, strict=True):
            both = torch.cat([functional.relu(narrow(both)), functional.relu(wide(both))], 1)
        result: Tensor = features + self.fusion(both)
        return result


class ChannelAttentionBlock(nn.Module):
    """A residual block whose channels are weighted by what their means over the whole map say (RCAB).

    Raises:
        ValueError: fewer channels than the reduction.

    Source: Zhang et al., ECCV 2018 (RCAN).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        if channels < reduction:
            raise ValueError(f"channels is {channels} with reduction {reduction}: pass at least as many channels")
        self.body = nn.Sequential(
            convolution(channels, channels), nn.ReLU(inplace=True), convolution(channels, channels)
        )
        self.attention = nn.Sequential(
            convolution(channels, channels // reduction, 1),
            nn.ReLU(inplace=True),
            convolution(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        change = self.body(features)
        result: Tensor = features + change * self.attention(change.mean((2, 3), keepdim=True))
        return result


class ResidualGroup(nn.Module):
    """Channel attention blocks and a 3x3 convolution, beside an identity (RG).

    Source: Zhang et al., ECCV 2018 (RCAN).
    """

    def __init__(self, channels: int, reduction: int, n_blocks: int) -> None:
        super().__init__()
        blocks = [ChannelAttentionBlock(channels, reduction) for _ in range(n_blocks)]
        self.body = nn.Sequential(*blocks, convolution(channels, channels))

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.body(features)
        return result


class ResidualDenseBlock(nn.Module):
    """3x3 convolutions that each see all before them, joined by a 1x1 convolution, beside an identity (RDB).

    Source: Zhang et al., CVPR 2018 (RDN).
    """

    def __init__(self, channels: int, growth: int, n_convolutions: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([convolution(channels + i * growth, growth) for i in range(n_convolutions)])
        self.fusion = convolution(channels + n_convolutions * growth, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        seen = [features]
        for layer in self.layers:
            seen.append(functional.relu(layer(torch.cat(seen, 1))))
        result: Tensor = features + self.fusion(torch.cat(seen, 1))
        return result


def upsampler(channels: int, scale: int) -> nn.Sequential:
    """3x3 convolution and pixel shuffle: by 2, by 3, or twice by 2 for a scale of 4.

    Raises:
        ValueError: any other scale.

    Source: Shi et al., CVPR 2016.
    """
    if scale not in _SHUFFLES:
        raise ValueError(f"scale is {scale}: the papers' networks enhance by 2, 3 or 4")
    layers: list[nn.Module] = []
    for factor in _SHUFFLES[scale]:
        layers += [convolution(channels, factor**2 * channels), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


def enhanced(
    trunk: Callable[[Tensor], Tensor], measured: Measured, *, scale: int, pad: int, global_skip: bool
) -> Prediction:
    """What a trunk, from readings to a map ``scale`` times finer, makes of a batch of maps.

    The trunk sees the readings alone, mirrored by ``pad`` points at their border, and its map is cropped after. With
    ``global_skip`` it changes bicubic interpolation, on which fine pixels lie as in the scan: blocks under points.

    Raises:
        ValueError: the maps are to be enhanced by another scale.
    """
    if measured.scale != scale:
        raise ValueError(f"scale is {measured.scale}: this network was built for {scale}, build one for that scale")
    readings = measured.readings.float()
    height, width = (scale * side for side in readings.shape[-2:])
    border = scale * pad
    values = trunk(_mirrored(readings, pad)).float()[..., border : border + height, border : border + width]
    if global_skip:
        values = values + functional.interpolate(readings, scale_factor=scale, mode="bicubic", align_corners=False)
    return Prediction(values)


def _mirrored(readings: Tensor, pad: int) -> Tensor:
    """Each axis mirrored about its end points; an axis too short for that has them repeated."""
    height, width = readings.shape[-2:]
    along_x = functional.pad(readings, (pad, pad, 0, 0), mode="reflect" if width > pad else "replicate")
    return functional.pad(along_x, (0, 0, pad, pad), mode="reflect" if height > pad else "replicate")
