"""How far maps may be off: everything measured is measured again, and the pull of the penalty is added."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from torch import Tensor

from models.singlepixel.admm import Problems, Told, solve
from models.singlepixel.priors import Prior
from models.singlepixel.system import PatternSystem

Array = NDArray[np.float64]

REPLICATES = 12
FACTORS = {
    "pinv": 0.17,
    "ridge": 0.17,
    "tv": 1.35,
    "guided": 1.05,
    "siren": 0.78,
    "siren-simplex": 0.75,
    "siren-phase": 0.66,
}
"""On sigma, so that 1.645 of it hold nine tenths of the pixels: `tests/benchmarks/test_singlepixel_sigma.py`, cathodes
at 5 % sampling, 1e4 and 1e6 counts. Split conformal with normalised scores: Lei et al., J. Am. Stat. Assoc. 113 (2018)
1094."""
_ITERATIONS = 25  # from the solution of all measurements
_BATCH_VALUES = 2**23
_SMOOTH_PX = 0.7  # a variance of 12 replicates is off by 40 %; neighbours share theirs
_PULLED = 4.0
"""The penalty is made so many times larger: what it moves then, it may have moved before. With less sigma needs another
factor at 1e4 counts than at 1e6; with 4 it is 1.1 to 1.3 for guided, in four cathodes."""
_FLOOR = 1e-3
"""Of the unit of `models.singlepixel.system`: where all replicates are 0 the truth need not be."""
_APART_PX = 1.5


def sigma_of(
    system: PatternSystem,
    prior: Prior,
    penalty: float,
    images: Tensor,
    rng: np.random.Generator,
    told: Told | None = None,
) -> Array:
    """(element, y, x) standard deviation of the maps, without the factor of `FACTORS`.

    Pairs of pattern and counts are drawn with replacement for all elements together, so that wrongly recorded patterns
    show too, and the TXM image gets its noise once more. The bias of the penalty, which no resampling sees, is judged
    by what four times as much of it changes.

    Args:
        system: of all measurements.
        prior, penalty: that ``images`` were found with.
        images: (element, y, x) of all measurements.
        rng: draws.
        told: called with the fraction done.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 9.5 (bootstrapping pairs).
    """
    variance = _resampled_variance(system, prior, penalty, images, rng, told)
    more = Problems(system.values, system.weights[None], torch.tensor([_PULLED * penalty]))
    pulled = solve(system.operator, more, prior, iterations=_ITERATIONS, start=images)[0] - images
    found = (variance + pulled.square()).double().cpu().numpy()
    smooth = gaussian_filter(found, (0, _SMOOTH_PX, _SMOOTH_PX), mode="nearest")
    return np.asarray(np.sqrt(smooth + _FLOOR**2))


def sigma_beside(images: Tensor, beside: Tensor, sigma: Array) -> Array:
    """Of maps of a network: the sigma of a pixel method's maps, and how far the two are apart.

    Args:
        images: (element, y, x) of the network, on any pixels.
        beside: (element, y, x) of the pixel method.
        sigma: of those.
    """
    ours, theirs = images.double().cpu().numpy(), beside.double().cpu().numpy()
    ratio = [a / b for a, b in zip(ours.shape, theirs.shape, strict=True)]
    theirs, sigma = (zoom(values, ratio, order=1, mode="nearest", grid_mode=True) for values in (theirs, sigma))
    apart = gaussian_filter((ours - theirs) ** 2, (0, _APART_PX, _APART_PX), mode="nearest")
    return np.asarray(np.sqrt(sigma**2 + apart))


def _resampled_variance(
    system: PatternSystem, prior: Prior, penalty: float, images: Tensor, rng: np.random.Generator, told: Told | None
) -> Tensor:
    n_patterns = len(system.values) - 1
    drawn = rng.multinomial(n_patterns, np.full(n_patterns, 1 / n_patterns), REPLICATES).astype(np.float32)
    counts = torch.from_numpy(np.concatenate([drawn, np.ones((REPLICATES, 1), np.float32)], axis=1))
    weights = counts.to(system.weights.device) * system.weights
    batch = max(1, min(REPLICATES, _BATCH_VALUES // images.numel(), _BATCH_VALUES * 4 // n_patterns**2))
    total, square = torch.zeros_like(images), torch.zeros_like(images)
    for first in range(0, REPLICATES, batch):
        some = weights[first : first + batch]
        problems = Problems(system.values, some, torch.full((len(some),), penalty))
        again = prior.resampled(len(some), rng)
        found = solve(system.operator, problems, again, iterations=_ITERATIONS, start=images) - images
        total += found.sum(0)
        square += found.square().sum(0)
        if told is not None:
            told((first + len(some)) / REPLICATES)
    return ((square - total.square() / REPLICATES) / (REPLICATES - 1)).clamp_min(0)
