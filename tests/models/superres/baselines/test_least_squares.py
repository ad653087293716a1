import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import gaussian_probe
from models.superres.baselines.least_squares import least_squares
from models.superres.baselines.seen import SeenField
from models.superres.bicubic import cubic_weights

WHOLE = np.ones((16, 20), bool)


def band_limited(operator: FlyScanOperator) -> NDArray[np.float32]:
    """Waves of 32 pixels and more in any direction on a plain ground, faded out towards the border."""
    rng = np.random.default_rng(1000)
    y, x = (np.arange(side) - (side - 1) / 2 for side in operator.fine_shape)
    waves = np.zeros(operator.fine_shape)
    for _ in range(6):
        angle, phase, period = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(32, 64)
        waves += np.cos(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y[:, None]) / period + phase)
    return np.asarray(1 + 0.2 * waves * np.exp(-(y[:, None] ** 2 + x**2) / (2 * 9.0**2)), np.float32)


def test_recovers_a_band_limited_map_to_a_thousandth() -> None:
    operator = FlyScanOperator(gaussian_probe(60, n=32), (20, 20), 4, "fly")
    truth = band_limited(operator)
    readings = operator.forward(torch.from_numpy(truth)).numpy()
    solution = least_squares(readings, np.ones((20, 20), bool), operator, 1e-4, tolerance=1e-6, most_iterations=1000)
    assert solution.converged
    border = 8  # fine pixels: the outermost two points also read what lies beyond, which is drawn to the mean
    field, inner = slice(border, -border), slice(operator.margin_px + border, -operator.margin_px - border)
    weights = cubic_weights(20, 4)
    interpolated = weights @ readings @ weights.T
    assert np.abs(interpolated[field, field] - truth[inner, inner]).max() > 0.03
    np.testing.assert_allclose(solution.values[field, field], truth[inner, inner], rtol=0, atol=1e-3)


def test_agrees_with_dense_algebra_and_reports_the_minimum() -> None:
    operator = FlyScanOperator(gaussian_probe(30, n=16), (4, 5), 2, "fly")
    field = SeenField(operator)
    columns = torch.eye(field.shape[0] * field.shape[1]).reshape(-1, *field.shape)
    dense = np.array([field.forward(column).double().numpy().ravel() for column in columns]).T
    readings, damping = np.random.default_rng(3).normal(5, 1, (4, 5)), 0.2
    excess = readings.ravel() - readings.mean()
    expected = np.linalg.solve(dense.T @ dense + damping**2 * np.eye(dense.shape[1]), dense.T @ excess)
    whole = np.ones((4, 5), bool)
    solution = least_squares(readings, whole, operator, damping, tolerance=1e-7, most_iterations=500)
    inside = slice(field.near_px, -field.near_px)
    wanted = readings.mean() + expected.reshape(field.shape)[inside, inside]
    np.testing.assert_allclose(solution.values, wanted, atol=1e-4)
    least = np.sum((dense @ expected - excess) ** 2) + damping**2 * np.sum(expected**2)
    assert solution.objective == pytest.approx(least, rel=1e-4)


def test_damping_takes_no_flux(operator: FlyScanOperator) -> None:
    readings = np.random.default_rng(4).normal(7, 1, operator.shape)
    for damping in (0.05, 0.5):
        solution = least_squares(readings, WHOLE, operator, damping, tolerance=1e-5, most_iterations=500)
        assert solution.values.mean() == pytest.approx(readings.mean(), rel=0.01)


def test_too_few_iterations_are_told(operator: FlyScanOperator) -> None:
    readings = np.random.default_rng(5).normal(7, 1, operator.shape)
    solution = least_squares(readings, WHOLE, operator, 0.01, tolerance=1e-6, most_iterations=3)
    assert (solution.iterations, solution.converged) == (3, False)
