"""How the TXM image is made of the elements: their weights, and how well it agrees with the counts."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.optimize import nnls
from torch import Tensor

from models.singlepixel.guide import Guide
from models.singlepixel.measurement import Array
from models.singlepixel.system import PatternSystem

CONSISTENT = 2.5
"""Chi-squared per measurement up to which the elements are all that absorbs, and the counts alone tell the weights."""
_ROUNDS = 30
_LEAST_EIGENVALUE = 1e-3
_MEDIAN = 0.6745  # of |x| for a normal x, in standard deviations
_TRUST_PX = 5
_TRUST_SIGMA = 3.0


@dataclass(frozen=True)
class Absorption:
    """I = sum of mu_e x_e + background, in the units of `models.singlepixel.system`.

    Attributes:
        weights: (element,) mu, not negative.
        background: of pixels without any of the elements.
        trust: (y, x) 1 where the elements explain the image, towards 0 where something else absorbs.
    """

    weights: Array
    background: float
    trust: Tensor


@dataclass(frozen=True)
class Agreement:
    """What the patterns would count of the TXM image, explained by what they counted of the elements.

    Attributes:
        weights: (element,) mu, unbiased by the noise of the counts; negative ones are set to 0.
        background: of the image, if nothing but the elements absorbs: what the mean pattern would count beyond them.
        explained: share of the variance over patterns, 0 to 1.
        chi_squared: of the rest, per measurement, over what noise leaves.
        shift_px: (y, x) by which the TXM image is to be moved, to first order.
        shift_sigma_px: (y, x), one standard deviation.
    """

    weights: Array
    background: float
    explained: float
    chi_squared: float
    shift_px: Array
    shift_sigma_px: Array


def agreement(system: PatternSystem, image: Tensor, guide: Guide) -> Agreement:
    """Regress A I on the counts of all elements over the patterns: no reconstruction is needed, nor any unit.

    What a constant would count is taken off both: the image's zero tells nothing. Noise of the counts would pull the
    weights down; its known variance is taken off the normal equations. The slopes A dI/dy and A dI/dx stand beside the
    counts: how much of them is found tells how far the image is off.

    Args:
        system: of the measurement.
        image: (y, x) TXM image.
        guide: of it.

    Source: Fuller, Measurement Error Models (1987), eq. 2.2.10.
    """
    looked_at = torch.stack([image, *torch.gradient(guide.image), torch.ones_like(image)])
    all_rows = system.operator.forward(looked_at).double().cpu().numpy()
    all_counts = system.values.double().cpu().numpy()
    level = all_rows[3, :-1] / max(float(np.linalg.norm(all_rows[3, :-1])), 1e-30)
    seen, *slopes = (row - (row @ level) * level for row in all_rows[:3, :-1])
    counts = all_counts[:-1] - np.outer(level, level @ all_counts[:-1])
    columns = np.concatenate([counts, np.stack(slopes, axis=1)], axis=1)
    n_patterns, n_elements = counts.shape
    normal, right = columns.T @ columns / n_patterns, columns.T @ seen / n_patterns
    for i, noise in enumerate(system.noise):
        normal[i, i] -= min(noise**2, 0.9 * normal[i, i])
    inverse = _regularised_inverse(normal)
    found = inverse @ right
    weights = np.maximum(found[:n_elements], 0)
    left = float(np.mean((seen - counts @ weights) ** 2))
    total = max(float(np.mean(seen**2)), 1e-30)
    expected = guide.noise**2 + float(np.sum((weights * system.noise) ** 2))
    least = float(np.mean((seen - columns @ found) ** 2)) / n_patterns
    sigma = np.sqrt(np.maximum(np.diag(inverse)[n_elements:], 0) * least)
    chi_squared = left / max(expected, 1e-4 * total)
    background = float((all_rows[0, -1] - all_counts[-1] @ weights) / all_rows[3, -1])
    return Agreement(weights, background, max(0.0, 1 - left / total), chi_squared, found[n_elements:], sigma)


def _regularised_inverse(matrix: Array) -> Array:
    """Of a symmetric matrix whose columns have scales of their own; directions without signal are left alone."""
    diagonal = np.diag(matrix)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    inverse: Array = (vectors / np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T / np.outer(scale, scale)
    return inverse


def robust_absorption(images: Tensor, guide: Guide) -> Absorption:
    """Weights that bring the sum of maps nearest to the TXM image in absolute value: what else absorbs is outvoted.

    Args:
        images: (element, y, x) first maps.
        guide: of the TXM image.

    Source: iteratively reweighted least squares, Holland and Welsch, Commun. Stat. A 6 (1977) 813.
    """
    columns: NDArray[np.float64] = images.flatten(1).double().cpu().numpy().T
    ones = np.ones((len(columns), 1))
    design = np.concatenate([columns, ones, -ones], axis=1)
    target = guide.image.double().cpu().numpy().ravel()
    least = max(guide.noise, 1e-3 * float(np.ptp(target)))
    root = np.ones(len(target))
    for _ in range(_ROUNDS):
        found, _ = nnls(design * root[:, None], target * root)
        root = 1 / np.sqrt(np.maximum(np.abs(target - design @ found), least))
    left = (target - design @ found).reshape(guide.image.shape)
    return Absorption(found[:-2], float(found[-2] - found[-1]), _trust(left, least).to(guide.image))


def _trust(left: Array, noise: float) -> Tensor:
    """From what the elements leave of the image over a few pixels: noise and edges a little off do not count."""
    around = median_filter(left, _TRUST_PX, mode="nearest")
    usual = max(noise, float(np.median(np.abs(around - np.median(around)))) / _MEDIAN)
    return torch.from_numpy(1 / (1 + (around / (_TRUST_SIGMA * usual)) ** 2) ** 2)
