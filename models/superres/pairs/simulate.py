"""Endless training pairs: random fine maps through random scans, with counts, background, holes and what is known."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.superres.networks.data_step import read_by_scan, transfer
from models.superres.networks.measured import Measured
from models.superres.pairs.probes import KernelPair, Optics, kernel_of, padded_kernel, random_kernel

MARGIN_PX = 36  # fine pixels of specimen around a patch that its scan also sees; a multiple of 2, 3 and 4
_NOISELESS_COUNTS = 1e6
_FULL_SCALE_QUANTILE = 0.995


class FineMaps(Protocol):
    """Where fine maps come from."""

    @property
    def description(self) -> str:
        """In words, with licence; changes with anything that the patches depend on."""

    def patch(self, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
        """(side, side) between 0 and 1."""


@dataclass(frozen=True)
class Conditions:
    """Ranges that pairs are drawn from.

    Attributes:
        scales: (scale, share) of the batches.
        coarse_px: side of a coarse patch.
        counts: (least, most) of a point that reads 1, drawn log-uniformly.
        noiseless_share: of pairs without noise.
        most_background: counts under the line, over those of a point that reads 1.
        holed_share: of pairs that miss points or part of a row.
        fixed_optics: of every pair, instead of random ones.
    """

    scales: tuple[tuple[int, float], ...] = ((4, 0.8), (3, 0.1), (2, 0.1))
    coarse_px: int = 40
    counts: tuple[float, float] = (15.0, 15000.0)
    noiseless_share: float = 0.1
    most_background: float = 0.1
    holed_share: float = 0.2
    fixed_optics: Optics | None = None


@dataclass(frozen=True)
class Pairs:
    """A batch: what was measured, and what is known of the fine maps, in the same unit.

    Attributes:
        measured: with coarse steps.
        fine: (B, 1, s*y, s*x) the true maps; where a fine scan read them, its readings (B, 1, r*y, r*x).
        fine_scan: that read ``fine``, its scale being s / r; None: ``fine`` is the truth.
    """

    measured: Measured
    fine: Tensor
    fine_scan: Measured | None = None


def draw_pairs(
    fine_maps: FineMaps, conditions: Conditions, batch: int, seed: int, step: int, device: str = "cpu"
) -> Pairs:
    """The pairs of one training step; the same for the same seed and step, whatever came before."""
    rng = np.random.default_rng([seed, step])
    scales, shares = zip(*conditions.scales, strict=True)
    scale = int(rng.choice(scales, p=np.array(shares) / sum(shares)))
    side = scale * conditions.coarse_px + 2 * MARGIN_PX
    fine = np.stack([_varied(rng, fine_maps.patch(rng, side)) for _ in range(batch)])[:, None]
    kernels = [_kernel(rng, conditions, scale) for _ in range(batch)]
    true, told = stacked_kernels([pair.true for pair in kernels]), stacked_kernels([pair.told for pair in kernels])
    counts = np.exp(rng.uniform(np.log(conditions.counts[0]), np.log(conditions.counts[1]), batch))
    counts[rng.random(batch) < conditions.noiseless_share] = _NOISELESS_COUNTS
    background = rng.uniform(0, conditions.most_background, batch)
    mask = np.stack([_mask(rng, conditions) for _ in range(batch)])[:, None]
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    measured, truth = scan(
        torch.from_numpy(fine).to(device),
        true.to(device),
        scale,
        _column(counts, device),
        _column(background, device),
        torch.from_numpy(mask).to(device),
        generator,
    )
    return Pairs(replace(measured, kernel=told.to(device)), truth)


def scan(
    fine: Tensor,
    kernel: Tensor,
    scale: int,
    counts: Tensor,
    background: Tensor,
    mask: Tensor,
    generator: torch.Generator,
) -> tuple[Measured, Tensor]:
    """What a scan reads of fine maps that reach `MARGIN_PX` beyond what is scanned on every side.

    Args:
        fine: (B, 1, Y, X) in units of which one gives ``counts`` counts.
        kernel: (B, k, k).
        scale: fine pixels per coarse pixel.
        counts: (B, 1, 1, 1); from 1e6 on without noise.
        background: (B, 1, 1, 1) counts under the line over ``counts``, known and taken off again, as a fit does.
        mask: (B, 1, y, x), 1 where measured; what is read elsewhere is the nearest point that was.
        generator: of the Poisson noise, on the device of ``fine``.

    Returns:
        What was measured, divided by the 99.5 % quantile of each map, and the fine maps divided likewise.
    """
    expected = read_by_scan(fine, transfer(kernel, scale, (fine.shape[-2], fine.shape[-1])), scale)
    first = MARGIN_PX // scale
    expected = expected[..., first:-first, first:-first].clamp_min(0) + background
    drawn = torch.poisson(expected * counts, generator=generator) / counts
    read = torch.where(counts < _NOISELESS_COUNTS, drawn, expected)
    around = functional.avg_pool2d(functional.pad(read, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    variance = around / counts + counts**-2
    readings = _filled(read - background, mask)
    unit = full_scale(readings, variance)
    truth = fine[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] / unit
    return Measured(readings / unit, variance / unit**2, mask, kernel, scale), truth


def full_scale(readings: Tensor, variance: Tensor) -> Tensor:
    """(B, 1, 1, 1) by which maps are divided before a network sees them: nearly their maximum, never below noise."""
    bright = torch.quantile(readings.flatten(1), _FULL_SCALE_QUANTILE, dim=1)
    noise = variance.flatten(1).mean(1).sqrt()
    return torch.maximum(bright, 3 * noise).clamp_min(torch.finfo(torch.float32).tiny).view(-1, 1, 1, 1)


def told_kernels(conditions: Conditions, scale: int, count: int, seed: int) -> list[NDArray[np.float32]]:
    """As many of the kernels that a network trained under these conditions is told, at one scale."""
    rng = np.random.default_rng([seed, count])
    return [_kernel(rng, conditions, scale).told for _ in range(count)]


def stacked_kernels(kernels: list[NDArray[np.float32]]) -> Tensor:
    """(B, k, k) of kernels of one scale, the smaller ones with zeros around."""
    side = max(len(kernel) for kernel in kernels)
    return torch.from_numpy(np.stack([padded_kernel(kernel, side) for kernel in kernels]))


def _column(values: NDArray[np.float64], device: str) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1).to(device)


def _kernel(rng: np.random.Generator, conditions: Conditions, scale: int) -> KernelPair:
    if conditions.fixed_optics is not None:
        return _known_kernel(conditions.fixed_optics, scale)
    return random_kernel(rng, scale)


@lru_cache(maxsize=8)
def _known_kernel(optics: Optics, scale: int) -> KernelPair:
    return kernel_of(optics, scale)


def _varied(rng: np.random.Generator, patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """One of the eight turns and mirror images; some dimmed, some on a floor of the same element."""
    turned = np.rot90(patch, int(rng.integers(4)))
    mirrored = turned[:, ::-1] if rng.random() < 0.5 else turned
    dimmed = mirrored * np.float32(rng.uniform(0.3, 1) if rng.random() < 0.3 else 1)
    return np.ascontiguousarray(dimmed, np.float32)


def _mask(rng: np.random.Generator, conditions: Conditions) -> NDArray[np.float32]:
    side = conditions.coarse_px
    mask = np.ones((side, side), np.float32)
    if rng.random() < conditions.holed_share:
        mask[rng.random(mask.shape) < rng.uniform(0, 0.05)] = 0
        if rng.random() < 0.5:
            mask[int(rng.integers(side)), int(rng.integers(side)) :] = 0
    return mask


def _filled(readings: Tensor, mask: Tensor) -> Tensor:
    """Holes take the weighted mean of the measured points around, nearer ones counting far more."""
    if bool(mask.all()):
        return readings
    reach = torch.arange(-4, 5, device=readings.device)
    weight = torch.exp(-(reach[:, None] ** 2 + reach[None, :] ** 2) / 0.72).view(1, 1, 9, 9)
    total = functional.conv2d(mask, weight, padding=4).clamp_min(1e-12)
    near = functional.conv2d(readings * mask, weight, padding=4) / total
    return torch.where(mask > 0, readings, near)
