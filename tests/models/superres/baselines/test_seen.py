import numpy as np
import pytest
import torch

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.superres.baselines.seen import SeenField


def test_adjoint_matches_forward_operator(operator: FlyScanOperator) -> None:
    field = SeenField(operator)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(field.shape, generator=generator), torch.rand(operator.shape, generator=generator)
    forward, adjoint = torch.sum(field.forward(x) * y), torch.sum(x * field.adjoint(y))
    assert float(forward) == pytest.approx(float(adjoint), rel=1e-5)


def test_a_constant_reads_as_that_constant(operator: FlyScanOperator) -> None:
    readings = SeenField(operator).forward(torch.full(SeenField(operator).shape, 3.0))
    np.testing.assert_allclose(readings, 3.0, rtol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_near_margin_is_narrower_than_the_window_and_keeps_the_field_of_view_in_place(probe: Probe, scale: int) -> None:
    operator = FlyScanOperator(probe, (6, 5), scale, "step")
    field = SeenField(operator)
    assert 0 < field.near_px < operator.margin_px
    assert field.shape == (6 * scale + 2 * field.near_px, 5 * scale + 2 * field.near_px)
    seen = torch.rand(field.shape, generator=torch.Generator().manual_seed(2))
    solution = field.solution(seen, 1, True, 0.0)
    inside = slice(field.near_px, -field.near_px)
    np.testing.assert_array_equal(solution.values, seen[inside, inside])
    assert solution.with_margin.shape == operator.fine_shape
    np.testing.assert_array_equal(solution.with_margin[0, 0], seen[0, 0])
