"""Total variation, the same guided by the TXM image, and which of the two the measurements themselves prefer."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models.singlepixel.absorption import CONSISTENT, Absorption, robust_absorption
from models.singlepixel.admm import Problems, solve
from models.singlepixel.estimate import Estimate, Task
from models.singlepixel.holdout import (
    LEAST_PATTERNS,
    Choice,
    best_score,
    choose_penalty,
    expected_penalty,
    first_misfits,
    held_out_weights,
)
from models.singlepixel.measurement import Array
from models.singlepixel.priors import GuidedVariation, Prior, TotalVariation
from models.singlepixel.txm_shift import PlacedTxm
from models.singlepixel.uncertainty import sigma_of

ITERATIONS = 50
"""Of the final maps: 40 to 150 end within 0.1 dB of each other."""
LEAST_EXPLAINED = 0.15
"""Share of what the patterns would count of the TXM image that the elements must explain; an image of another place
explains up to 0.34 by chance, at the best of 289 shifts, and is then told by the held-out measurements."""
_CLEARLY = 0.2
"""In the score: by so much, 10 % of the misfit, a few lambdas of tv may end above the best one."""
_HOLD_OUT, _BESIDE = 1, 3


def total_variation(task: Task) -> Estimate:
    """TV of each element by itself, non-negative."""
    return _with_prior(task, "tv", TotalVariation())


def guided(task: Task) -> Estimate:
    """Directional TV coupled over elements along the edges of the TXM image, and a sum that its absorption tells."""
    prior, notes = _guided_prior(task)
    found = _with_prior(task, "guided", prior)
    return replace(found, notes=notes + found.notes, quality=dict(found.quality) | _agreement(task.txm))


def automatic(task: Task) -> Estimate:
    """Guided where the TXM image helps to explain held-out measurements, plain TV, and why, where it does not."""
    if task.measurement.txm is None:
        return _fallen_back(task, "there is no TXM image")
    try:
        explained = task.txm.agreement.explained
    except ValueError as reason:
        return _fallen_back(task, str(reason))
    if len(task.measurement.patterns) < LEAST_PATTERNS:
        return guided(task) if explained > LEAST_EXPLAINED else _fallen_back(task, _unexplained(explained))
    if explained < LEAST_EXPLAINED:
        return _fallen_back(task, _unexplained(explained))
    return _preferred(task)


def _preferred(task: Task) -> Estimate:
    splits, plain = _splits(task), TotalVariation()
    candidates, notes = _candidates(task)
    telling = partial(task.told, "choosing lambda of guided")
    choices = [choose_penalty(task.system, prior, splits, telling) for prior in candidates]
    best = min(range(len(choices)), key=lambda i: choices[i].score)
    begun = first_misfits(task.system, plain, splits)
    alone = best_score(begun)
    if not choices[best].score < alone - _CLEARLY:
        choice = choose_penalty(task.system, plain, splits, partial(task.told, "choosing lambda of tv"), begun)
        if not choices[best].score < choice.score:
            reason = (
                f"{len(choice.misfits)} held-out measurements are explained better without the TXM image "
                f"(misfit {_misfit(choice):.3g} against {_misfit(choices[best]):.3g})"
            )
            found = _fallen_back(task, reason, choice)
            return replace(found, quality=dict(found.quality) | _agreement(task.txm))
    found = _solved(task, "guided", candidates[best], choices[best])
    figures = _agreement(task.txm) | {"held_out_misfit_tv": float(np.exp(alone / 2))}
    return replace(found, notes=notes, quality=dict(found.quality) | figures)


def _fallen_back(task: Task, reason: str, choice: Choice | None = None) -> Estimate:
    prior = TotalVariation()
    found = _with_prior(task, "tv", prior) if choice is None else _solved(task, "tv", prior, choice)
    return replace(found, notes=(f"tv instead of guided: {reason}", *found.notes))


def _unexplained(explained: float) -> str:
    return f"the elements' counts explain {explained:.0%} of what the patterns would count of the TXM image"


def _with_prior(task: Task, method: str, prior: Prior) -> Estimate:
    n_patterns = len(task.measurement.patterns)
    if task.lam is not None:
        return _solved(task, method, prior, None, task.lam)
    if n_patterns < LEAST_PATTERNS:
        note = f"{n_patterns} measurements are too few to hold any out: lambda follows the noise alone"
        found = _solved(task, method, prior, None, expected_penalty(task.system, prior))
        return replace(found, notes=(note, *found.notes))
    choice = choose_penalty(task.system, prior, _splits(task), partial(task.told, f"choosing lambda of {method}"))
    return _solved(task, method, prior, choice)


def _splits(task: Task) -> Tensor:
    return held_out_weights(len(task.measurement.patterns), task.rng(_HOLD_OUT))


def _solved(task: Task, method: str, prior: Prior, choice: Choice | None, lam: float | None = None) -> Estimate:
    system, penalty = task.system, choice.penalty if choice is not None else float(lam or 0)
    problem = Problems(system.values, system.weights[None], torch.tensor([penalty]))
    images = solve(
        system.operator, problem, prior, iterations=ITERATIONS, told=partial(task.told, f"reconstructing by {method}")
    )[0]
    quality = {} if choice is None else {"held_out_misfit": _misfit(choice), "held_out": float(len(choice.misfits))}
    return Estimate(images, method, penalty, (), quality, prior)


def _misfit(choice: Choice) -> float:
    """Root mean square, geometric mean over elements, over the rms of what the counts vary by."""
    return float(np.exp(choice.score / 2))


def _agreement(txm: PlacedTxm) -> dict[str, float]:
    return {
        "txm_explained": txm.agreement.explained,
        "txm_chi_squared": txm.agreement.chi_squared,
        "txm_shift_y_px": txm.shift_px[0],
        "txm_shift_x_px": txm.shift_px[1],
    }


def _guided_prior(task: Task) -> tuple[GuidedVariation, tuple[str, ...]]:
    candidates, notes = _candidates(task)
    return candidates[0], notes


def _candidates(task: Task) -> tuple[list[GuidedVariation], tuple[str, ...]]:
    """Priors from the most that is assumed of the TXM image to the least, and what was found out about it."""
    txm = task.txm
    notes: tuple[str, ...] = ()
    edges = GuidedVariation(txm.guide)
    if any(txm.shift_px):
        notes = (f"the TXM image was moved by {txm.shift_px[0]:+.2f}, {txm.shift_px[1]:+.2f} px (y, x)",)
    found, consistent = _absorption(task), txm.agreement.chi_squared <= CONSISTENT
    weights = torch.from_numpy(found.weights.astype(np.float32)).to(txm.image.device)
    summed = replace(edges, image=txm.image - found.background, weights=weights, sum_share=found.trust)
    if consistent:
        return [summed], notes
    left = f"{1 - txm.agreement.explained:.1%} of what the patterns would count of the TXM image is not of the elements"
    return [summed, edges], (*notes, left)


def _absorption(task: Task) -> Absorption:
    """From the counts where nothing else absorbs, or else by outvoting in the first maps."""
    txm, system = task.txm, task.system
    if txm.agreement.chi_squared <= CONSISTENT:
        return Absorption(txm.agreement.weights, txm.agreement.background, torch.ones_like(txm.image))
    edges = GuidedVariation(txm.guide)
    problem = Problems(system.values, system.weights[None], torch.tensor([expected_penalty(system, edges)]))
    return robust_absorption(solve(system.operator, problem, edges, iterations=ITERATIONS)[0], txm.guide)


def absorption_of(task: Task) -> tuple[Array, Tensor]:
    """(element,) mu and the TXM image above its background, without noise and not negative.

    Raises:
        ValueError: there is no TXM image, or it is constant.
    """
    found = _absorption(task)
    return found.weights, (task.txm.guide.image - found.background).clamp_min(0)


def pixels_beside(task: Task) -> tuple[Tensor, Array]:
    """Guided maps (element, y, x) at the expected lambda, and their sigma: what a network's is made of."""
    system = task.system
    prior = _candidates(task)[0][0]
    penalty = expected_penalty(system, prior)
    images = _solved(task, "guided", prior, None, penalty).images
    told = partial(task.told, "resampling")
    return images, sigma_of(system, prior, penalty, images, task.rng(_BESIDE), told)
