"""The papers' networks are of the documented size, keep the scan's geometry, and see the readings alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.superres.bicubic import cubic_weights
from models.superres.networks.dual_branch import DualBranch
from models.superres.networks.measured import Measured
from models.superres.networks.table import build

SMALL: dict[str, dict[str, Any]] = {
    "dual_branch": {"channels": 16, "n_multi_scale": 1, "n_groups": 1, "n_blocks": 2},
    "rdn": {"channels": 8, "n_blocks": 2, "n_convolutions": 2, "growth": 8},
    "residual": {"channels": 8, "n_blocks": 2},
}
REACH = 12  # coarse points from which a small network's pixel can know anything, and more


def small(name: str, seed: int = 1, **config: object) -> nn.Module:
    torch.manual_seed(seed)
    return build(name, {**SMALL[name], **config}).eval()


def measured(readings: torch.Tensor, scale: int = 4) -> Measured:
    kernel = torch.full((len(readings), 12, 12), 1 / 144)
    return Measured(readings, torch.full_like(readings, 1e-3), torch.ones_like(readings), kernel, scale)


def random_readings(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(
    ("name", "config", "parameters", "gigamacs"),
    [
        ("residual", {}, 1.515, 38.5),
        ("dual_branch", {}, 11.712, 236.9),
        ("dual_branch", {"two_levels": False}, 8.885, 181.5),
        ("rdn", {}, 22.269, 445.1),
    ],
)
def test_size_and_cost_are_as_documented(
    name: str, config: dict[str, object], parameters: float, gigamacs: float
) -> None:
    torch.manual_seed(0)
    network = build(name, {**config, "pad": 0})
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(measured(torch.rand(1, 1, 14, 14)))
    macs_a_point = counter.get_total_flops() / 2 / 14**2
    assert sum(weight.numel() for weight in network.parameters()) / 1e6 == pytest.approx(parameters, abs=5e-4)
    assert macs_a_point * 140**2 / 1e9 == pytest.approx(gigamacs, abs=0.1)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(5, 5), (9, 14), (4, 4), (1, 12)])
def test_map_covers_the_fine_grid(name: str, scale: int, shape: tuple[int, int]) -> None:
    prediction = small(name, scale=scale)(measured(random_readings(2, 1, *shape), scale))
    assert prediction.values.shape == (2, 1, scale * shape[0], scale * shape[1])
    assert torch.isfinite(prediction.values).all()
    assert prediction.log_scale is None


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_with_nothing_in_its_tail_it_is_the_bicubic_baseline_up_to_the_edge(name: str, scale: int) -> None:
    network = small(name, scale=scale)
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)
    readings = random_readings(1, 1, 7, 10)
    along_y, along_x = (cubic_weights(n, scale) for n in (7, 10))
    expected = along_y @ readings[0, 0].double().numpy() @ along_x.T
    np.testing.assert_allclose(network(measured(readings, scale)).values[0, 0].detach(), expected, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_the_skip_adds_bicubic_interpolation_and_nothing_else(name: str) -> None:
    scan = measured(random_readings(1, 1, 7, 10))
    with_skip, papers = (small(name, global_skip=skip)(scan).values for skip in (True, False))
    bicubic = nn.functional.interpolate(scan.readings, scale_factor=4, mode="bicubic", align_corners=False)
    torch.testing.assert_close(with_skip - papers, bicubic, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["rdn", "residual"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_step_of_the_stage_moves_the_fine_map_by_the_scale(name: str, scale: int) -> None:
    network = small(name, scale=scale)
    wide = random_readings(1, 1, 34, 35)
    here = network(measured(wide[..., :-1, :-2], scale)).values
    there = network(measured(wide[..., 1:, 2:], scale)).values
    inner = slice(REACH * scale, -REACH * scale)
    moved = here[..., scale:, 2 * scale :][..., inner, inner]
    still = there[..., :-scale, : -2 * scale][..., inner, inner]
    assert moved.numel() > 0
    torch.testing.assert_close(moved, still, atol=1e-5, rtol=0)  # places in thirds are rounded by bicubic


def test_a_particle_on_nothing_moves_with_the_stage_through_channel_attention_too() -> None:
    network = small("dual_branch")
    readings = torch.zeros(1, 1, 40, 40)
    readings[..., 17:22, 17:22] = random_readings(5, 5)
    here = network(measured(readings)).values
    there = network(measured(readings.roll((1, 2), (-2, -1)))).values
    torch.testing.assert_close(here.roll((4, 8), (-2, -1))[..., 16:-16, 16:-16], there[..., 16:-16, 16:-16])


def test_channel_attention_lets_the_whole_map_weigh_on_every_pixel() -> None:
    network = small("dual_branch")
    readings = random_readings(1, 1, 60, 60)
    brighter_far_away = readings.clone()
    brighter_far_away[..., 45:] += 1
    corner = (..., slice(0, 20), slice(0, 20))
    change = network(measured(brighter_far_away)).values - network(measured(readings)).values
    assert change[corner].abs().max() > 1e-5
    for name in ("rdn", "residual"):
        blind = small(name)
        near, far = (blind(measured(scan)).values[corner] for scan in (readings, brighter_far_away))
        torch.testing.assert_close(near, far, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_noise_mask_and_kernel_are_ignored(name: str) -> None:
    network = small(name)
    scan = measured(random_readings(1, 1, 8, 9))
    other = replace(
        scan, variance=scan.variance * 50, mask=torch.zeros_like(scan.mask), kernel=scan.kernel.roll(3, -1) * 2
    )
    assert torch.equal(network(scan).values, network(other).values)


@pytest.mark.parametrize("name", SMALL)
def test_maps_of_a_batch_do_not_meet(name: str) -> None:
    network = small(name)
    readings = random_readings(3, 1, 8, 9)
    alone = torch.cat([network(measured(one[None])).values for one in readings])
    torch.testing.assert_close(network(measured(readings)).values, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_alone_decides_the_weights(name: str) -> None:
    first, again, other = (small(name, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns(name: str) -> None:
    network = small(name)
    network(measured(random_readings(1, 1, 8, 9))).values.square().mean().backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_refuses_another_scale_than_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="scale is 2: this network was built for 4"):
        small(name)(measured(random_readings(1, 1, 8, 9), 2))


@pytest.mark.parametrize("name", SMALL)
def test_cannot_be_built_for_a_scale_without_shuffles(name: str) -> None:
    with pytest.raises(ValueError, match="scale is 5: the papers' networks enhance by 2, 3 or 4"):
        small(name, scale=5)


def test_attention_cannot_squeeze_to_less_than_a_channel() -> None:
    with pytest.raises(ValueError, match="channels is 8 with reduction 16"):
        build("dual_branch", {"channels": 8})


def test_dual_branch_has_the_papers_blocks() -> None:
    with torch.device("meta"):
        network = build("dual_branch", {})
    assert isinstance(network, DualBranch)
    kinds = [type(module).__name__ for module in network.modules()]
    counts = {kind: kinds.count(kind) for kind in ("MultiScaleBlock", "ResidualGroup", "ChannelAttentionBlock")}
    assert counts == {"MultiScaleBlock": 5, "ResidualGroup": 10, "ChannelAttentionBlock": 100}
    assert kinds.count("PixelShuffle") == 2
