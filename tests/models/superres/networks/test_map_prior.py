"""The prior of a batch is the prior of each map, and follows what the map is made of."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.physics.flyscan import scan_kernel
from models.physics.probe import zone_plate_probe
from models.superres.networks.data_step import correction, read_by_scan, transfer
from models.superres.networks.map_prior import fitted_spectrum

SCALE, SIDE = 4, 48
FINE = SCALE * SIDE


def _squared_frequency() -> Tensor:
    """In 1/step^2."""
    f = torch.fft.fftfreq(FINE) * SCALE
    return (f[:, None] ** 2 + f[None, :] ** 2)[None, None]


@pytest.fixture(scope="module")
def spectrum() -> Tensor:
    kernel = scan_kernel(zone_plate_probe(n=64).intensity(), SCALE, "fly")
    return transfer(torch.from_numpy(kernel)[None], SCALE, (FINE, FINE))


def _texture(exponent: float, seed: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """A Gaussian specimen (1, 1, Y, X) and its power spectrum, corner 32 steps."""
    power = strength * (_squared_frequency() + 1 / 32**2) ** -exponent
    noise = torch.randn((1, 1, FINE, FINE), generator=torch.Generator().manual_seed(seed))
    return torch.fft.ifft2(torch.fft.fft2(noise) * power.sqrt()).real, power


@pytest.mark.parametrize("exponent", [1.25, 2.0])
@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_spectrum_of_a_texture_is_found(spectrum: Tensor, exponent: float, strength: float) -> None:
    specimen, power = _texture(exponent, 1, strength)
    readings = read_by_scan(specimen, spectrum, SCALE)
    variance = torch.full_like(readings, 1e-6 * strength)
    found = fitted_spectrum(readings, variance, spectrum, _squared_frequency(), SCALE)
    ring = (_squared_frequency() > 0.1**2) & (_squared_frequency() < 0.5**2)
    assert found[ring].log().mean().item() == pytest.approx(power[ring].log().mean().item(), abs=0.3)


def test_estimate_under_the_fitted_prior_is_nearly_that_under_the_true_one(spectrum: Tensor) -> None:
    specimen, power = _texture(1.6, 2)
    clean = read_by_scan(specimen, spectrum, SCALE)
    noise = torch.tensor(0.01 * clean.var().item())
    readings = clean + noise.sqrt() * torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    fitted = fitted_spectrum(readings, noise.expand_as(readings), spectrum, _squared_frequency(), SCALE)
    errors = []
    for prior in (fitted, power):
        change, _ = correction(readings - readings.mean(), prior, spectrum, noise.view(1, 1, 1, 1), SCALE)
        errors.append(((readings.mean() + change - specimen) ** 2).mean().item())
    assert errors[0] < 1.05 * errors[1]


def test_maps_of_a_batch_do_not_touch(spectrum: Tensor) -> None:
    maps = torch.cat([read_by_scan(_texture(e, 4, s)[0], spectrum, SCALE) for e, s in ((1.25, 1.0), (2.0, 1e-4))])
    variance = torch.full_like(maps, 1e-6)
    both = fitted_spectrum(maps, variance, spectrum.expand(2, -1, -1, -1), _squared_frequency(), SCALE)
    alone = fitted_spectrum(maps[1:], variance[1:], spectrum, _squared_frequency(), SCALE)
    torch.testing.assert_close(both[1:], alone, rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_map_without_structure_has_no_spectrum_to_speak_of(spectrum: Tensor, value: float) -> None:
    readings = torch.full((1, 1, SIDE, SIDE), value)
    found = fitted_spectrum(readings, torch.full_like(readings, 1e-3), spectrum, _squared_frequency(), SCALE)
    assert torch.isfinite(found).all()
    assert np.sqrt(found.mean().item()) < 1e-3
