"""Three places along an axis have the moments of the blur that they stand for."""

import numpy as np
import pytest
import torch

from models.ptychography.incoherence import places


@pytest.mark.parametrize(("fly_px", "source_px"), [(4.0, 0.0), (0.0, 0.9), (4.0, 0.9), (1.0, 3.0)])
def test_moments_are_those_of_a_box_and_a_gaussian_up_to_the_fifth(fly_px: float, source_px: float) -> None:
    offsets, shares = places((0.0, fly_px), torch.tensor([0.0, source_px], dtype=torch.float64))
    assert shares.sum().item() == pytest.approx(1)
    x, w = offsets[:, 1].numpy(), shares.numpy()
    rng = np.random.default_rng(0)
    drawn = fly_px * (rng.random(4_000_000) - 0.5) + source_px * rng.standard_normal(4_000_000)
    for power in (2, 4):
        assert (w * x**power).sum() == pytest.approx(np.mean(drawn**power), rel=5e-3)
    for power in (1, 3, 5):
        assert (w * x**power).sum() == pytest.approx(0, abs=1e-9)
    assert not offsets[:, 0].any()


def test_nothing_moves_in_a_step_scan_with_a_point_source() -> None:
    offsets, shares = places((0.0, 0.0), torch.zeros(2))
    assert offsets.tolist() == [[0, 0]]
    assert shares.tolist() == [1]


def test_a_source_in_both_axes_has_nine_places() -> None:
    offsets, shares = places((0.0, 4.0), torch.tensor([0.5, 0.5]))
    assert offsets.shape == (9, 2)
    assert shares.sum().item() == pytest.approx(1)
