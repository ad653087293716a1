import pytest
import torch
from torch import Tensor, nn

from models.superres.networks.blocks import (
    ChannelAttentionBlock,
    MultiScaleBlock,
    ResidualBlock,
    ResidualDenseBlock,
    ResidualGroup,
    enhanced,
    upsampler,
)
from models.superres.networks.measured import Measured


def measured(readings: Tensor, scale: int) -> Measured:
    return Measured(readings, torch.ones_like(readings), torch.ones_like(readings), torch.ones(1, 8, 8), scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("pad", [0, 4])
def test_blocks_of_fine_pixels_lie_under_their_points(scale: int, pad: int) -> None:
    readings = torch.arange(35.0).view(1, 1, 5, 7)
    trunk = nn.Upsample(scale_factor=scale, mode="nearest")
    prediction = enhanced(trunk, measured(readings, scale), scale=scale, pad=pad, global_skip=False)
    blocks = readings.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    assert torch.equal(prediction.values, blocks)


@pytest.mark.parametrize("turned", [False, True])
def test_beyond_the_border_a_map_is_mirrored_or_repeated_where_it_is_too_short(turned: bool) -> None:
    seen = []

    def trunk(readings: Tensor) -> Tensor:
        seen.append(readings)
        return readings.repeat_interleave(2, -2).repeat_interleave(2, -1)

    readings = torch.arange(12.0).view(1, 1, 2, 6)
    enhanced(trunk, measured(readings.mT if turned else readings, 2), scale=2, pad=3, global_skip=False)
    rows = [0, 0, 0, 0, 1, 1, 1, 1]
    columns = [3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2]
    expected = readings[..., rows, :][..., columns]
    assert torch.equal(seen[0], expected.mT if turned else expected)


@pytest.mark.parametrize(
    "block",
    [
        ResidualBlock(8),
        MultiScaleBlock(8, two_levels=True),
        MultiScaleBlock(8, two_levels=False),
        ChannelAttentionBlock(8, 4),
        ResidualGroup(8, 4, 2),
        ResidualDenseBlock(8, 4, 3),
    ],
    ids=lambda block: type(block).__name__,
)
def test_a_block_whose_last_convolution_is_zero_lets_everything_through(block: nn.Module) -> None:
    fusion = block.fusion if hasattr(block, "fusion") else block.body[-1]
    nn.init.zeros_(fusion.weight)
    nn.init.zeros_(fusion.bias)
    features = torch.rand((2, 8, 6, 7), generator=torch.Generator().manual_seed(3))
    assert torch.equal(block(features.clone()), features)


@pytest.mark.parametrize(("two_levels", "reach"), [(False, 2), (True, 4)])
def test_two_levels_see_twice_as_far(two_levels: bool, reach: int) -> None:
    torch.manual_seed(4)
    block = MultiScaleBlock(4, two_levels)
    features = torch.rand((1, 4, 15, 15)).requires_grad_()
    block(features)[0, :, 7, 7].sum().backward()
    assert features.grad is not None
    rows = features.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == (7 - reach, 7 + reach)


@pytest.mark.parametrize(("scale", "factors"), [(2, [2]), (3, [3]), (4, [2, 2])])
def test_scale_four_is_two_shuffles_by_two(scale: int, factors: list[int]) -> None:
    layers = upsampler(4, scale)
    assert [layer.upscale_factor for layer in layers if isinstance(layer, nn.PixelShuffle)] == factors
    assert layers(torch.rand(1, 4, 5, 6)).shape == (1, 4, 5 * scale, 6 * scale)
