import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from models.differences import differences
from models.singlepixel.admm import Problems, solve
from models.singlepixel.guide import denoised, guide_from, noise_of
from models.singlepixel.operator import PatternOperator
from models.singlepixel.priors import GuidedVariation, TotalVariation, nearest_with_sum

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("most", [0.01, 0.3, 5.0])
def test_values_come_as_near_to_the_known_sum_as_the_price_allows(most: float) -> None:
    values, image, weights = RNG.normal(0.3, 0.5, 3), 0.8, np.array([0.5, 1.0, 0.0])
    found = nearest_with_sum(
        torch.from_numpy(values.astype(np.float32)[None, :, None, None]),
        torch.full((1, 1), image),
        torch.from_numpy(weights.astype(np.float32)),
        most,
    )[0, :, 0, 0].numpy()

    def price(u: np.ndarray) -> float:
        return float(np.sum((u - values) ** 2) / 2 + most * abs(weights @ u - image))

    best = min(
        price(np.maximum(minimize(lambda u: price(np.maximum(u, 0)), start, method="Nelder-Mead", tol=1e-9).x, 0))
        for start in (values, found, np.ones(3))
    )
    assert (found >= 0).all()
    assert price(found) <= best + 1e-6


def test_edges_along_those_of_the_txm_image_are_kept_and_others_are_not() -> None:
    txm = np.zeros((16, 16), np.float32)
    txm[:, 8:] = 1
    prior = GuidedVariation(guide_from(txm))
    step = torch.full((1, 2, 16, 16), 0.04)
    across, along = prior.shrink(torch.zeros_like(step), step, 0.05), prior.shrink(step, torch.zeros_like(step), 0.05)
    assert float(across[1][0, 0, 5, 7]) > 0.03
    isotropic = 0.04 - 0.05 / 2**0.5
    assert float(along[0][0, 0, 5, 7]) == pytest.approx(isotropic, abs=1e-4)
    assert float(across[1][0, 0, 5, 3]) == pytest.approx(isotropic, abs=1e-4)


def test_denoising_takes_the_noise_and_leaves_the_step() -> None:
    clean = np.zeros((40, 40), np.float32)
    clean[:, 20:] = 1
    noisy = clean + RNG.normal(0, 0.05, clean.shape).astype(np.float32)
    assert noise_of(noisy) == pytest.approx(0.05, rel=0.15)
    found = denoised(torch.from_numpy(noisy), 0.05).numpy()
    assert np.std(found - clean) < 0.4 * np.std(noisy - clean)
    np.testing.assert_allclose(found.mean(), noisy.mean(), atol=1e-5)


def test_a_constant_txm_image_is_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        guide_from(np.ones((8, 8), np.float32))


def test_alternating_directions_end_in_the_minimum() -> None:
    patterns = RNG.uniform(0, 1, (40, 6, 6)).astype(np.float32)
    operator, lam = PatternOperator(patterns), 0.05
    truth = np.zeros((6, 6))
    truth[2:5, 1:4] = 1
    values = operator.measured((patterns.reshape(40, -1) @ truth.ravel())[:, None])

    def price(image: torch.Tensor) -> float:
        along_y, along_x = differences(image)
        misfit = (operator.forward(image) - values[:, 0]).square().sum() / 2
        return float(misfit + lam * (along_y.square() + along_x.square()).sqrt().sum())

    problem = Problems(values, torch.ones(1, 41), torch.tensor([lam]))
    found = solve(operator, problem, TotalVariation(), iterations=300)[0, 0]
    least = price(found)
    for _ in range(200):
        other = (found + 0.02 * torch.from_numpy(RNG.normal(size=(6, 6)).astype(np.float32))).clamp_min(0)
        assert price(other) > least - 1e-4
