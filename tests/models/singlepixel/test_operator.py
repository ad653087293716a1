import numpy as np
import pytest
import torch

from models.singlepixel import operator as operators
from models.singlepixel.operator import PatternOperator


@pytest.fixture
def patterns():
    return np.random.default_rng(1).gamma(3.0, size=(12, 7, 9)).astype(np.float32)


def test_projection_is_the_sum_of_pattern_times_map(patterns):
    operator = PatternOperator(patterns)
    image = np.random.default_rng(2).random((7, 9)).astype(np.float32)

    signals = operator.project(torch.from_numpy(image)) * operator.scale

    np.testing.assert_allclose(signals.numpy(), np.tensordot(patterns, image, 2), rtol=1e-4)


def test_adjoint_matches_projection(patterns):
    operator = PatternOperator(patterns)
    image, signals = torch.randn(3, 7, 9), torch.randn(3, 12)

    there = (operator.project(image) * signals).sum()
    back = (image * operator.adjoint(signals)).sum()

    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("extra", [0.0, 1.0])
def test_quadratic_step_solves_its_equation_for_every_weight(patterns, extra):
    operator = PatternOperator(patterns)
    weights = torch.stack([torch.ones(12), torch.arange(12.0) % 3])
    rho, right = torch.tensor([0.1, 2.0]), torch.randn(2, 3, 7, 9)

    x = operator.quadratic_step(weights, rho, extra)(right)

    smooth = operator.back((operator.transform(x).flatten(-2) * (operator.stiffness + extra)).reshape(x.shape))
    measured = operator.adjoint(operator.project(x) * weights[:, None]) / rho[:, None, None, None]
    torch.testing.assert_close(measured + smooth, right, rtol=1e-3, atol=1e-3)


def test_stiffness_is_one_and_the_differences_of_reflecting_edges(patterns):
    from models.singlepixel.differences import differences, transposed

    operator = PatternOperator(patterns)
    image = torch.randn(7, 9)

    smooth = operator.back((operator.transform(image).flatten() * operator.stiffness).reshape(7, 9))

    torch.testing.assert_close(smooth, image + transposed(*differences(image)), rtol=1e-4, atol=1e-5)


def test_conjugate_gradients_agree_with_the_direct_way(patterns, monkeypatch):
    operator = PatternOperator(patterns)
    weights, rho, right = torch.ones(1, 12), torch.tensor([0.5]), torch.randn(1, 2, 7, 9)
    direct = operator.quadratic_step(weights, rho)(right)

    monkeypatch.setattr(operators, "MOST_DIRECT", 0)
    monkeypatch.setattr(operators, "_CG_STEPS", 30)
    iterated = operator.quadratic_step(weights, rho)(right)

    torch.testing.assert_close(iterated, direct, rtol=1e-3, atol=1e-3)
