import pytest
import torch

from models.superres.networks.losses import sobel_error
from models.superres.networks.prediction import Prediction

FINE = torch.rand((2, 1, 9, 12), generator=torch.Generator().manual_seed(2))


def test_nothing_is_lost_on_the_truth() -> None:
    assert sobel_error(Prediction(FINE), FINE) == 0


def test_an_offset_has_no_edges() -> None:
    assert sobel_error(Prediction(FINE + 0.25), FINE).item() == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("axis", [-2, -1])
def test_a_slope_costs_a_tenth_of_sobels_sum(axis: int) -> None:
    n = 50
    ramp = 0.01 * torch.arange(n, dtype=torch.float32).expand(1, 1, n, n)
    error = ramp if axis == -1 else ramp.mT
    along = 8 * 0.01 * (n - 1) / n  # end pixels see half a slope
    expected = error.mean().item() + 0.1 * along / 2  # the other direction is flat
    assert sobel_error(Prediction(error), torch.zeros_like(error)).item() == pytest.approx(expected, rel=1e-5)


def test_an_edge_in_the_wrong_place_costs_more_than_the_same_error_without_edges() -> None:
    flat = torch.full((1, 1, 8, 8), 0.5)
    checks = torch.zeros(1, 1, 8, 8)
    checks[..., 4:] = 1.0
    truth = torch.zeros_like(flat)
    assert sobel_error(Prediction(checks), truth) > sobel_error(Prediction(flat), truth)


def test_gradients_reach_the_prediction() -> None:
    values = (FINE + 0.1).requires_grad_()
    sobel_error(Prediction(values), FINE).backward()
    assert values.grad is not None
    assert (values.grad > 0).any()
