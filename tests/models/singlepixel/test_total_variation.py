import numpy as np
import pytest
import torch

from models.singlepixel.differences import differences, least_variation, transposed
from models.singlepixel.guide import Guide
from models.singlepixel.operator import PatternOperator
from models.singlepixel.total_variation import Problem, SumTerm, solve


def test_transposed_is_the_adjoint_of_the_differences():
    image, gy, gx = torch.randn(5, 6), torch.randn(5, 6), torch.randn(5, 6)
    dy, dx = differences(image)

    torch.testing.assert_close((dy * gy + dx * gx).sum(), (image * transposed(gy, gx)).sum())


def test_with_every_pixel_lit_alone_it_is_denoising():
    rng = np.random.default_rng(3)
    image = np.zeros((8, 8), np.float32)
    image[2:6, 3:7] = 1
    noisy = torch.from_numpy(image + 0.1 * rng.standard_normal((8, 8)).astype(np.float32) + 1)
    operator = PatternOperator(np.eye(64, dtype=np.float32).reshape(64, 8, 8))
    lam = 0.1

    problem = Problem(operator, noisy.reshape(1, 64) / operator.scale, None)
    found = solve(problem, torch.tensor([lam / operator.scale**2]), torch.ones(1, 64), 400)[0, 0]

    torch.testing.assert_close(found, least_variation(noisy, lam), rtol=1e-3, atol=2e-3)


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    operator = PatternOperator(rng.gamma(2.0, size=(30, 8, 8)).astype(np.float32))
    truth = np.zeros((2, 8, 8), np.float32)
    truth[0, 2:6, 2:5], truth[1, 2:6, 2:7] = 1.0, 0.5
    signals = operator.project(torch.from_numpy(truth))
    edge = torch.from_numpy(rng.random((1, 1, 8, 8)).astype(np.float32))
    angle = 2 * torch.pi * torch.from_numpy(rng.random((1, 1, 8, 8)).astype(np.float32))
    guide = Guide(edge, torch.cos(angle), torch.sin(angle))
    direction = torch.tensor([0.6, 0.8])
    picture = torch.einsum("e,eyx->yx", direction, torch.from_numpy(truth))[None] + 0.05
    return Problem(operator, signals, guide, SumTerm(direction, picture, 0.5))


def objective(problem, x, lam):
    guide, term = problem.guide, problem.sum_term
    misfit = 0.5 * ((problem.operator.project(x) - problem.signals) ** 2).sum()
    gy, gx = differences(x)
    along = torch.sqrt(((gy * guide.normal_y[0] + gx * guide.normal_x[0]) ** 2).sum(0))
    across = torch.sqrt(((gx * guide.normal_y[0] - gy * guide.normal_x[0]) ** 2).sum(0))
    variation = (guide.weight[0, 0] * along + across).sum()
    apart = (torch.einsum("e,eyx->yx", term.weights, x) - term.picture[0]).abs().sum()
    return float(misfit + lam * (variation + term.strength * apart))


def test_no_maps_nearby_have_a_lower_objective(problem):
    lam = 0.02
    found = solve(problem, torch.tensor([lam]), torch.ones(1, 30), 1000)[0]
    least = objective(problem, found, lam)

    rng = torch.Generator().manual_seed(5)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(50):
            other = (found + size * torch.randn(found.shape, generator=rng)).clamp_min(0)
            assert objective(problem, other, lam) > least - 1e-5
    for shrunk in (0.98, 1.02):
        assert objective(problem, shrunk * found, lam) > least


def test_problems_side_by_side_are_those_one_after_another(problem):
    lam, weights = torch.tensor([0.01, 0.1]), torch.stack([torch.ones(30), torch.arange(30.0) % 2])
    together = solve(problem, lam, weights, 40)

    for row in range(2):
        alone = solve(problem, lam[row : row + 1], weights[row : row + 1], 40)[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-3, atol=3e-4)
