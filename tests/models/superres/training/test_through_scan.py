"""A map is held against what a scan read of it, and against nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import gaussian_probe
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction
from models.superres.training.through_scan import (
    chi_squared,
    judged_points,
    readings_of,
    seen_difference,
    seen_error,
)

PROBE = gaussian_probe(fwhm_nm=45.0, energy_kev=10.0, n=16, pixel_size_nm=15.0)


def _operator(scale: int, side: int = 24) -> FlyScanOperator:
    return FlyScanOperator(PROBE, (side, side), scale, "fly")


def _through_one_pixel(values: torch.Tensor, variance: float = 0.01) -> Measured:
    """A scan that reads every fine pixel by itself."""
    ones = torch.ones_like(values)
    return Measured(values, variance * ones, ones, torch.ones(len(values), 1, 1), 1)


def _scanned(fine: torch.Tensor, operator: FlyScanOperator, sigma: float = 0.0) -> Measured:
    kernel = torch.from_numpy(operator.kernel)[None].expand(len(fine), -1, -1)
    readings = readings_of(fine, kernel, operator.scale)
    readings = readings + sigma * torch.randn_like(readings)
    variance = torch.full_like(readings, max(sigma, 1e-3) ** 2)
    return Measured(readings, variance, torch.ones_like(readings), kernel, operator.scale)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_readings_are_those_of_the_forward_operator_of_the_scan(scale: int) -> None:
    operator = _operator(scale)
    whole = torch.rand(2, 1, *operator.fine_shape, generator=torch.Generator().manual_seed(0))
    margin = operator.margin_px
    inside = whole[..., margin:-margin, margin:-margin]
    kernel = torch.from_numpy(operator.kernel)[None].expand(2, -1, -1)
    read, expected = readings_of(inside, kernel, scale), operator.forward(whole)
    reach = -(-margin // scale)
    inner = np.s_[..., reach:-reach, reach:-reach]
    torch.testing.assert_close(read[inner], expected[inner], atol=1e-5, rtol=1e-5)


def test_the_gradient_is_the_adjoint_of_the_forward_operator() -> None:
    """d/dx of half the squared residual, r = A x - y, is A^T r where no beam leaves the map."""
    operator = _operator(2, side=24)
    generator = torch.Generator().manual_seed(1)
    fine = torch.rand(1, 1, 48, 48, generator=generator).requires_grad_()
    kernel = torch.from_numpy(operator.kernel)[None]
    residual = torch.zeros(1, 1, 24, 24)
    residual[..., 8:16, 8:16] = torch.rand(8, 8, generator=generator)
    (readings_of(fine, kernel, 2) * residual).sum().backward()
    margin = operator.margin_px
    expected = operator.adjoint(residual)[..., margin:-margin, margin:-margin]
    assert fine.grad is not None
    torch.testing.assert_close(fine.grad, expected, atol=1e-5, rtol=1e-4)


def test_through_one_pixel_it_is_the_direct_comparison() -> None:
    generator = torch.Generator().manual_seed(2)
    values, fine, linear = (torch.rand(3, 1, 16, 16, generator=generator) for _ in range(3))
    scan = _through_one_pixel(fine)
    square = (values - fine).square().mean((1, 2, 3))
    usual = (linear - fine).square().mean((1, 2, 3))
    torch.testing.assert_close(chi_squared(values, scan, judged_points(scan)), square / 0.01)
    error = seen_error(Prediction(values, linear=linear), scan)
    torch.testing.assert_close(error, 0.05 * (square / usual).mean())
    torch.testing.assert_close(seen_difference(Prediction(values), scan), (values - fine).abs().mean())


def test_the_true_map_has_a_chi_squared_of_one() -> None:
    torch.manual_seed(3)
    fine = torch.rand(2, 1, 96, 96)
    scan = _scanned(fine, _operator(2, side=48), sigma=0.05)
    assert chi_squared(fine, scan, judged_points(scan)).tolist() == pytest.approx([1.0, 1.0], abs=0.06)


def test_what_the_scan_cannot_see_costs_nothing() -> None:
    """A checkerboard of single pixels is averaged away by blocks and probe; a slow wave of that height is not."""
    fine = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(4))
    scan = _scanned(fine, _operator(2, side=48))
    y, x = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    unseen, seen = 0.2 * (-1.0) ** (y + x), 0.2 * torch.sin(2 * torch.pi * x / 24)
    judged = judged_points(scan)
    assert chi_squared(fine + unseen, scan, judged).item() < 1e-3 * chi_squared(fine + seen, scan, judged).item()


def test_what_stands_in_a_hole_is_never_seen() -> None:
    fine = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(5))
    scan = _scanned(fine, _operator(2, side=24))
    mask = scan.mask.clone()
    mask[..., 5:9, 4:] = 0
    holed = replace(scan, mask=mask, readings=torch.where(mask > 0, scan.readings, 1e3))
    assert chi_squared(fine, holed, judged_points(holed)).item() == pytest.approx(0, abs=1e-3)


def test_beams_that_leave_the_map_are_not_judged() -> None:
    scan = _scanned(torch.ones(1, 1, 48, 48), _operator(2, side=24))
    judged = judged_points(scan)[0, 0]
    assert judged[6:-6, 6:-6].all()
    assert not judged[0].any()
    assert not judged[:, -1].any()


def test_the_scale_of_the_error_learns_nothing_from_readings() -> None:
    values = torch.rand(1, 1, 16, 16, requires_grad=True)
    log_scale = torch.zeros(1, 1, 16, 16, requires_grad=True)
    seen_error(Prediction(values, log_scale), _through_one_pixel(torch.rand(1, 1, 16, 16))).backward()
    assert values.grad is not None
    assert log_scale.grad is None
