"""The scan inside networks agrees with the forward operator and its update with dense linear algebra."""

import pytest
import torch

from models.physics.flyscan import FlyScanOperator, scan_kernel
from models.physics.probe import Probe, zone_plate_probe
from models.superres.networks.data_step import correction, folded, read_by_scan, transfer, unfolded


@pytest.fixture(scope="module")
def probe() -> Probe:
    return zone_plate_probe(n=64)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_readings_are_those_of_the_forward_operator(probe: Probe, scale: int) -> None:
    operator = FlyScanOperator(probe, (6, 9), scale, "fly")
    fine = torch.rand(operator.fine_shape, generator=torch.Generator().manual_seed(scale))
    periodic = torch.zeros([-(-n // scale) * scale for n in operator.fine_shape])
    periodic[: fine.shape[0], : fine.shape[1]] = fine
    from_field_of_view = torch.roll(periodic, (-operator.margin_px, -operator.margin_px), (0, 1))
    spectrum = transfer(torch.from_numpy(operator.kernel)[None], scale, tuple(periodic.shape))
    readings = read_by_scan(from_field_of_view[None, None], spectrum, scale)[0, 0, :6, :9]
    torch.testing.assert_close(readings, operator.forward(fine), atol=2e-6, rtol=0)


def test_kernel_larger_than_the_map_wraps_around(probe: Probe) -> None:
    kernel = torch.from_numpy(scan_kernel(probe.intensity(), 4, "fly"))[None]
    readings = read_by_scan(torch.full((1, 1, 12, 16), 3.0), transfer(kernel, 4, (12, 16)), 4)
    torch.testing.assert_close(readings, torch.full((1, 1, 3, 4), 3.0))


def test_folding_is_the_spectrum_of_sampling() -> None:
    fine = torch.randn(1, 1, 12, 18, generator=torch.Generator().manual_seed(1))
    sampled = torch.fft.fft2(fine[..., ::3, ::3])
    torch.testing.assert_close(folded(torch.fft.fft2(fine), 3), sampled, atol=1e-4, rtol=1e-4)


def test_correction_solves_the_normal_equations(probe: Probe) -> None:
    scale, (height, width) = 2, (8, 12)
    kernel = torch.from_numpy(scan_kernel(probe.intensity(), scale, "fly"))[None].double()
    spectrum = transfer(kernel, scale, (height, width)).to(torch.complex128)
    generator = torch.Generator().manual_seed(2)
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None, :]
    power = (0.3 / (fy**2 + fx**2 + 0.01)).double()[None, None]
    pixels = torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)
    scan = read_by_scan(pixels, spectrum, scale).flatten(1).T
    covariance = torch.fft.ifft2(torch.fft.fft2(pixels) * power).real.flatten(1)
    residual = torch.randn(1, 1, height // 2, width // 2, generator=generator, dtype=torch.float64)
    noise = torch.full((1, 1, 1, 1), 0.02, dtype=torch.float64)
    expected = (
        covariance
        @ scan.T
        @ torch.linalg.solve(
            scan @ covariance @ scan.T + 0.02 * torch.eye(len(scan), dtype=torch.float64), residual.flatten()
        )
    )
    change, left = correction(residual, power, spectrum, noise, scale)
    torch.testing.assert_close(change.flatten(), expected)
    torch.testing.assert_close(left, residual - read_by_scan(change, spectrum, scale))


def test_unfolding_repeats_every_frequency() -> None:
    spectrum = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(unfolded(spectrum, 2)[0, 0, 2:, 3:], spectrum[0, 0])
