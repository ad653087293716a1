"""Pairs come from their seed and step alone, and their readings are what the scan would count."""

import numpy as np
import pytest
import torch

from models.superres.networks.data_step import read_by_scan, transfer
from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.probes import PAPERS_OPTICS, largest_side
from models.superres.pairs.simulate import MARGIN_PX, Conditions, draw_pairs, scan

CONDITIONS = Conditions(coarse_px=12)


@pytest.fixture(scope="module")
def maps() -> ProceduralMaps:
    return ProceduralMaps(1, 2)


def test_a_step_gives_the_same_pairs_whatever_came_before(maps: ProceduralMaps) -> None:
    first = draw_pairs(maps, CONDITIONS, 2, seed=1, step=7)
    draw_pairs(maps, CONDITIONS, 2, seed=1, step=8)
    again = draw_pairs(maps, CONDITIONS, 2, seed=1, step=7)
    assert torch.equal(first.measured.readings, again.measured.readings)
    assert torch.equal(first.fine, again.fine)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shapes_belong_together(maps: ProceduralMaps, scale: int) -> None:
    pairs = draw_pairs(maps, Conditions(scales=((scale, 1.0),), coarse_px=12), 3, seed=2, step=0)
    assert pairs.measured.readings.shape == pairs.measured.mask.shape == (3, 1, 12, 12)
    assert pairs.fine.shape == (3, 1, 12 * scale, 12 * scale)


def _flat(kernel_side: int, scale: int) -> torch.Tensor:
    kernel = torch.zeros(1, kernel_side, kernel_side)
    middle = kernel_side // 2
    kernel[:, middle - scale // 2 : middle + scale // 2, middle - scale // 2 : middle + scale // 2] = scale**-2
    return kernel


def test_counts_have_their_mean_and_their_variance_is_known() -> None:
    side = 4 * 40 + 2 * MARGIN_PX
    fine, counts = torch.full((1, 1, side, side), 0.5), torch.full((1, 1, 1, 1), 200.0)
    background, mask = torch.full((1, 1, 1, 1), 0.1), torch.ones(1, 1, 40, 40)
    measured, truth = scan(
        fine, _flat(largest_side(4), 4), 4, counts, background, mask, torch.Generator().manual_seed(1)
    )
    unit = 0.5 / truth[0, 0, 0, 0]
    readings = measured.readings * unit
    assert readings.mean().item() == pytest.approx(0.5, abs=0.005)
    assert readings.var().item() == pytest.approx(0.6 / 200, rel=0.1)
    assert (measured.variance * unit**2).mean().item() == pytest.approx(0.6 / 200, rel=0.05)


def test_without_noise_readings_are_the_forward_model(maps: ProceduralMaps) -> None:
    side = 4 * 10 + 2 * MARGIN_PX
    fine = torch.from_numpy(maps.patch(np.random.default_rng(0), side))[None, None]
    kernel = _flat(largest_side(4), 4)
    counts, none = torch.full((1, 1, 1, 1), 1e6), torch.zeros(1, 1, 1, 1)
    measured, truth = scan(fine, kernel, 4, counts, none, torch.ones(1, 1, 10, 10), torch.Generator().manual_seed(1))
    expected = read_by_scan(fine, transfer(kernel, 4, (side, side)), 4)[..., 9:-9, 9:-9]
    unit = fine[0, 0, MARGIN_PX, MARGIN_PX] / truth[0, 0, 0, 0]
    torch.testing.assert_close(measured.readings * unit, expected, atol=1e-5, rtol=0)


def test_a_hole_takes_what_stands_around_it() -> None:
    side = 4 * 10 + 2 * MARGIN_PX
    fine, counts, none = torch.full((1, 1, side, side), 0.5), torch.full((1, 1, 1, 1), 1e6), torch.zeros(1, 1, 1, 1)
    mask = torch.ones(1, 1, 10, 10)
    mask[..., 4:6, 3:] = 0
    measured, truth = scan(fine, _flat(largest_side(4), 4), 4, counts, none, mask, torch.Generator().manual_seed(1))
    torch.testing.assert_close(measured.readings, torch.full_like(mask, truth[0, 0, 0, 0].item()), atol=1e-4, rtol=0)


def test_a_known_probe_is_that_of_every_pair(maps: ProceduralMaps) -> None:
    conditions = Conditions(scales=((4, 1.0),), coarse_px=12, fixed_optics=PAPERS_OPTICS)
    kernel = draw_pairs(maps, conditions, 2, seed=1, step=0).measured.kernel
    assert torch.equal(kernel[0], kernel[1])
