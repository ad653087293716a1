import numpy as np
import pytest
import torch
from singlepixel import speckle

from models.differences import differences, differences_adjoint
from models.singlepixel.conjugate import conjugate_gradients
from models.singlepixel.operator import PatternOperator

PATTERNS = speckle(30, 12, seed=1)[:, :, :10]


@pytest.fixture(scope="module")
def operator() -> PatternOperator:
    return PatternOperator(np.ascontiguousarray(PATTERNS))


def random(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).standard_normal(shape).astype(np.float32))


def test_rows_of_a_map_are_the_measurements_of_its_counts(operator: PatternOperator) -> None:
    image = random(12, 10)
    counts = np.einsum("nyx,yx->n", PATTERNS.astype(np.float64), image.numpy())
    np.testing.assert_allclose(operator.forward(image), operator.measured(counts[:, None])[:, 0], atol=2e-5)


def test_adjoint_matches_forward_operator(operator: PatternOperator) -> None:
    image, rows = random(3, 12, 10), random(3, 31)
    assert float((operator.forward(image) * rows).sum()) == pytest.approx(
        float((image * operator.adjoint(rows)).sum()), rel=1e-4
    )


def test_differences_adjoint_matches_differences() -> None:
    image, (along_y, along_x) = random(5, 7), (random(5, 7), random(5, 7).flip(0))
    found_y, found_x = differences(image)
    there = (found_y * along_y).sum() + (found_x * along_x).sum()
    assert float(there) == pytest.approx(float((image * differences_adjoint(along_y, along_x)).sum()), rel=1e-5)


@pytest.mark.parametrize("direct", [True, False])
def test_equations_are_solved_with_and_without_the_small_matrix(direct: bool) -> None:
    operator = PatternOperator(np.ascontiguousarray(PATTERNS), direct=direct)
    weights = torch.ones(2, 31)
    weights[1, :7] = 0
    weights[1, 7:20] = 2
    rho, right = torch.tensor([0.1, 1.0]), random(2, 3, 12, 10)
    equations = operator.equations(weights, rho)
    found = operator.unsmoothed(equations.solve(operator.smoothed(right)))
    along_y, along_x = differences(found)
    k_found = found + differences_adjoint(along_y, along_x)
    again = operator.adjoint(weights[:, None] * operator.forward(found)) + rho[:, None, None, None] * k_found
    assert float((again - right).norm() / right.norm()) < (1e-4 if direct else 2e-3)


def test_conjugate_gradients_end_in_as_many_steps_as_there_are_unknowns() -> None:
    root = random(6, 6)
    matrix = root @ root.T + torch.eye(6)
    right = random(4, 6)
    found = conjugate_gradients(lambda v: v @ matrix, right, tolerance=0, most_steps=12)
    torch.testing.assert_close(found @ matrix, right, rtol=1e-3, atol=1e-3)


def test_one_pattern_is_all_mean(operator: PatternOperator) -> None:
    one = PatternOperator(np.ascontiguousarray(PATTERNS[:1]))
    assert one.n_rows == 2
    assert torch.isfinite(one.forward(random(12, 10))).all()
    assert operator.n_rows == 31
