from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import xlogy

from models.physics.flyscan import FlyScanOperator
from models.superres.baselines.richardson_lucy import _expected_deviance, richardson_lucy

Specimen = Callable[[int, tuple[int, int]], NDArray[np.float32]]
Scan = Callable[[NDArray[np.float32], FlyScanOperator, float, int], NDArray[np.float64]]
WHOLE = np.ones((16, 20), bool)


def blob(operator: FlyScanOperator, width_px: float) -> NDArray[np.float32]:
    """A Gaussian amid the field of view, so far from its border that nothing of it lies beyond."""
    y, x = (np.arange(side) - (side - 1) / 2 for side in operator.fine_shape)
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * width_px**2)).astype(np.float32)


def test_every_iteration_raises_the_poisson_likelihood(
    operator: FlyScanOperator, specimen: Specimen, scan: Scan
) -> None:
    counts = scan(specimen(1000, operator.fine_shape), operator, 100, 1) * 100
    likelihood = []
    for iterations in range(1, 25):
        solution = richardson_lucy(counts, 1.0, WHOLE, operator, deviance_level=0, most_iterations=iterations)
        expected = operator.forward(torch.from_numpy(solution.with_margin)).double().numpy()
        likelihood.append(np.sum(xlogy(counts, expected) - expected))
    assert (np.diff(likelihood) > 0).all()


def test_flux_is_kept_to_a_thousandth(operator: FlyScanOperator) -> None:
    truth = blob(operator, 8.0)
    readings = np.maximum(operator.forward(torch.from_numpy(truth)).numpy(), 0)
    solution = richardson_lucy(readings, 1e4, WHOLE, operator, deviance_level=0, most_iterations=100)
    assert solution.with_margin.sum() == pytest.approx(truth.sum(), rel=1e-3)
    expected = operator.forward(torch.from_numpy(solution.with_margin)).numpy()
    assert expected.sum() == pytest.approx(readings.sum(), rel=1e-4)


@pytest.mark.parametrize("peak", [0.3, 10, 1000])
def test_expected_deviance_is_that_of_poisson_noise(peak: float) -> None:
    n = np.random.default_rng(2).poisson(peak, 200_000)
    deviance = 2 * (xlogy(n, n / peak) - n + peak)
    assert deviance.mean() == pytest.approx(_expected_deviance()(np.array([peak]))[0], rel=0.02)


@pytest.mark.parametrize("peak_counts", [30, 1000])
def test_stops_as_soon_as_the_readings_are_explained_to_their_noise(
    operator: FlyScanOperator, specimen: Specimen, scan: Scan, peak_counts: float
) -> None:
    readings = scan(specimen(1001, operator.fine_shape), operator, peak_counts, 3)

    def solved(level: float, most: int) -> tuple[int, bool, float]:
        found = richardson_lucy(readings, peak_counts, WHOLE, operator, deviance_level=level, most_iterations=most)
        return found.iterations, found.converged, found.objective

    iterations, converged, deviance = solved(1.0, 500)
    assert converged
    assert 0 < iterations < 500
    assert 0.5 < deviance < 1.1
    assert solved(1.0, iterations - 1)[:2] == (iterations - 1, False)
    assert solved(0.5, 500)[0] > iterations


def test_more_counts_allow_more_iterations(operator: FlyScanOperator, specimen: Specimen, scan: Scan) -> None:
    truth = specimen(1002, operator.fine_shape)
    iterations = [
        richardson_lucy(
            scan(truth, operator, peak, 4), peak, WHOLE, operator, deviance_level=0.9, most_iterations=1000
        ).iterations
        for peak in (30, 300, 3000)
    ]
    assert iterations[0] < iterations[1] < iterations[2]
