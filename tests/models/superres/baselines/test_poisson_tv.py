from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import kl_div

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.superres.baselines.poisson_tv import poisson_tv
from models.superres.baselines.seen import SeenField, Solution

Specimen = Callable[[int, tuple[int, int]], NDArray[np.float32]]
Scan = Callable[[NDArray[np.float32], FlyScanOperator, float, int], NDArray[np.float64]]
PEAK, WEIGHT = 200.0, 0.01


def near_part(with_margin: NDArray[np.float32], operator: FlyScanOperator) -> NDArray[np.float64]:
    far = operator.margin_px - SeenField(operator).near_px
    return with_margin[far:-far, far:-far].astype(np.float64)


def objective(
    near: NDArray[np.float64], readings: NDArray[np.float64], mask: NDArray[np.bool_], operator: FlyScanOperator
) -> float:
    """As the docstring of `poisson_tv` has it, written anew."""
    seen = torch.from_numpy(PEAK * near).float()
    expected = np.maximum(SeenField(operator).forward(seen).numpy(), 1e-6)
    along_y = np.diff(PEAK * near, axis=0, append=PEAK * near[-1:])
    along_x = np.diff(PEAK * near, axis=1, append=PEAK * near[:, -1:])
    return float(kl_div(PEAK * readings, expected)[mask].sum() + WEIGHT * np.hypot(along_y, along_x).sum())


@pytest.fixture(scope="module")
def operator(probe: Probe) -> FlyScanOperator:
    return FlyScanOperator(probe, (10, 12), 3, "fly")


@pytest.fixture(scope="module")
def mask() -> NDArray[np.bool_]:
    mask = np.ones((10, 12), bool)
    mask[4:6, 7:10] = False
    return mask


@pytest.fixture(scope="module")
def readings(operator: FlyScanOperator, specimen: Specimen, scan: Scan) -> NDArray[np.float64]:
    return scan(specimen(1000, operator.fine_shape), operator, PEAK, 1)


@pytest.fixture(scope="module")
def long_run(operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_]) -> Solution:
    return poisson_tv(readings, PEAK, mask, operator, WEIGHT, tolerance=1e-3, most_iterations=3000)


def test_objective_is_the_one_documented_and_within_a_thousandth_of_a_long_run(
    operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_], long_run: Solution
) -> None:
    solution = poisson_tv(readings, PEAK, mask, operator, WEIGHT, tolerance=1e-2, most_iterations=2000)
    assert solution.converged
    assert solution.objective == pytest.approx(
        objective(near_part(solution.with_margin, operator), readings, mask, operator), rel=1e-4
    )
    assert solution.objective == pytest.approx(long_run.objective, rel=1e-3)
    assert np.sqrt(np.mean((solution.values - long_run.values) ** 2)) < 0.01


def test_no_feasible_change_lowers_the_objective(
    operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_], long_run: Solution
) -> None:
    assert long_run.converged
    near = near_part(long_run.with_margin, operator)
    least = objective(near, readings, mask, operator)
    rng = np.random.default_rng(2)
    coarse_steps = [np.kron(rng.normal(size=(n, n)), np.ones((200 // n, 200 // n))) for n in (2, 5, 10, 25, 50, 100)]
    for change in coarse_steps:
        for size in (1e-3, 1e-2, 1e-1):
            moved = np.maximum(near + size * change[: near.shape[0], : near.shape[1]], 0)
            assert objective(moved, readings, mask, operator) > least
    for factor in (0.98, 1.02):
        assert objective(factor * near, readings, mask, operator) > least


def test_gap_bounds_what_is_left_to_gain(
    operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_], long_run: Solution
) -> None:
    for tolerance in (0.3, 0.1, 0.03):
        found = poisson_tv(readings, PEAK, mask, operator, WEIGHT, tolerance=tolerance, most_iterations=1500)
        assert found.converged
        assert found.objective - long_run.objective <= tolerance * found.objective


def test_too_few_iterations_are_told(
    operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    solution = poisson_tv(readings, PEAK, mask, operator, WEIGHT, tolerance=1e-3, most_iterations=30)
    assert solution.iterations == 30
    assert not solution.converged


def test_a_large_weight_leaves_a_flat_map_of_the_mean(
    operator: FlyScanOperator, readings: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    solution = poisson_tv(readings, PEAK, mask, operator, 10.0, tolerance=1e-3, most_iterations=1000)
    np.testing.assert_allclose(solution.values, readings[mask].mean(), rtol=0.01)


@pytest.mark.parametrize("weight", [0.0, -1.0, np.inf])
def test_a_weight_that_is_not_positive_is_refused(operator: FlyScanOperator, weight: float) -> None:
    whole = np.ones(operator.shape, bool)
    with pytest.raises(ValueError, match="weight is"):
        poisson_tv(np.ones(operator.shape), 1.0, whole, operator, weight, tolerance=1e-2, most_iterations=10)
