"""The power-law prior that fits each measured map best, for a batch of maps at once."""

import torch
from torch import Tensor

from models.superres.networks.data_step import folded

_LAWS = tuple((1 / corner_steps, exponent) for corner_steps in (128, 32, 12) for exponent in (1.25, 1.5, 1.75, 2.0))
_SCORING_STEPS = 6
_LARGEST_STEP = 4.0  # factor by which a step of the fit may change the strength
_NOTHING = 1e-9


def fitted_spectrum(
    readings: Tensor, variance: Tensor, spectrum: Tensor, squared_frequency: Tensor, scale: int
) -> Tensor:
    """Power spectrum of the specimen under which its readings are most likely, one of twelve power laws for each map.

    Args:
        readings: (B, 1, y, x) without holes.
        variance: (B, 1, y, x) of their noise.
        spectrum: (B, 1, s*Y, s*X), `models.superres.networks.data_step.transfer` on a grid of at least the map's size.
        squared_frequency: (1, 1, s*Y, s*X) of that grid, in 1/step^2.
        scale: fine pixels per coarse pixel.

    Returns:
        (B, 1, s*Y, s*X), the variance of a fine pixel being its mean.

    Source: `models.superres.prior.fit_prior`, which does the same for one map at the probe's pixels.
    """
    gain = spectrum.real**2 + spectrum.imag**2
    folds = [folded(_power_law(squared_frequency, *law) * gain, scale) for law in _LAWS]
    expected = torch.stack(folds, 1).flatten(3)[:, :, 0, 1:]
    periodogram, noise = _periodogram(readings, variance, (gain.shape[-2] // scale, gain.shape[-1] // scale))
    signal = expected.clamp_min(_NOTHING * expected.amax().item())
    strength = (periodogram / signal).median(-1, keepdim=True).values
    least = (periodogram.amax(-1, keepdim=True) / signal.amax(-1, keepdim=True)).clamp_min(_NOTHING) * _NOTHING
    strength = torch.maximum(strength, least)
    for _ in range(_SCORING_STEPS):
        weight = (signal / (strength * signal + noise)) ** 2
        score = (weight * (periodogram - noise) / signal).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
        strength = torch.clamp(score, strength / _LARGEST_STEP, strength * _LARGEST_STEP)
    model = strength * signal + noise
    best = (model.log() + periodogram / model).sum(-1).argmin(1)
    chosen = strength[torch.arange(len(best), device=best.device), best, 0].view(-1, 1, 1, 1)
    corner, exponent = (torch.tensor(column, device=best.device)[best] for column in zip(*_LAWS, strict=True))
    return chosen * _power_law(squared_frequency, corner.view(-1, 1, 1, 1), exponent.view(-1, 1, 1, 1))


def _power_law(squared_frequency: Tensor, corner: float | Tensor, exponent: float | Tensor) -> Tensor:
    """1 at the sampling's limit."""
    law: Tensor = ((squared_frequency + corner**2) / (0.25 + corner**2)) ** -exponent
    return law


def _periodogram(readings: Tensor, variance: Tensor, padded: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sine-tapered, (B, 1, frequency) without the mean, and the noise in it (B, 1, 1)."""
    tapers = [torch.sin(torch.pi * (torch.arange(n, device=readings.device) + 0.5) / n) for n in readings.shape[-2:]]
    taper = tapers[0][:, None] * tapers[1][None, :]
    taper = taper / taper.square().sum().sqrt()
    mean = (readings * taper).sum((2, 3), keepdim=True) / taper.sum()
    power = torch.fft.fft2((readings - mean) * taper, padded).abs() ** 2
    noise = (variance * taper**2).sum((2, 3))
    return power.flatten(2)[:, :, 1:], noise[:, :, None]
