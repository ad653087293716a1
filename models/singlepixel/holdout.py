"""The penalty's weight, and which prior, by measurements that the reconstruction has not seen. Never by a truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from models.singlepixel.admm import Problems, Told, solve
from models.singlepixel.priors import Prior
from models.singlepixel.system import PatternSystem

HELD_SHARE = 0.1
LEAST_PATTERNS = 20
"""Fewer cannot spare any: the penalty follows the noise alone."""
_HELD_IN_ALL = 90  # measurements over all splits: 32 of one split choose a penalty 0.5 dB worse than 96 of three
_UP = 2**0.5
"""Held-out measurements mind smooth errors more than maps do, and ask for too little penalty: a step more loses 0.07 dB
to the best one on average and 0.5 at most, none 0.25 and 1.5 (four cathodes, 1e3 to 1e6 counts, both priors)."""
_STEPS = (0.5, 1.0, 2.0)  # of the penalty around the expected one
_EXTENSIONS = 4
_ITERATIONS = 30
_SEARCHED = (1e-4, 1e2)


@dataclass(frozen=True, eq=False)
class Choice:
    """A penalty and how well what it gives explains what was held out.

    Attributes:
        penalty: lambda in the units of `models.singlepixel.system`.
        misfits: (held-out measurement, element) squared, in the values' unit, at the best lambda; all splits.
        tried: lambda and its score, in order of lambda.
    """

    penalty: float
    misfits: Tensor
    tried: tuple[tuple[float, float], ...]

    @property
    def score(self) -> float:
        """Mean over elements of the logarithm of the mean squared misfit."""
        return _score(self.misfits)


def held_out_weights(n_patterns: int, rng: np.random.Generator) -> Tensor:
    """(split, N + 1), of the rows of an operator: 0 for what a split holds out, 1 for the others.

    No measurement is held out twice, and the last row, of the mean pattern, never.
    """
    each = max(1, round(HELD_SHARE * n_patterns))
    n_splits = min(ceil(_HELD_IN_ALL / each), 4)
    order = torch.from_numpy(rng.permutation(n_patterns))
    weights = torch.ones(n_splits, n_patterns + 1)
    for split, row in enumerate(weights):
        row[order[split * each : (split + 1) * each]] = 0
    return weights


def expected_penalty(system: PatternSystem, prior: Prior) -> float:
    """Where the search begins: the prior's own share of the noise of a measurement."""
    return float(np.clip(prior.penalty_per_noise * np.sqrt(np.mean(system.noise**2)), *_SEARCHED))


def first_misfits(system: PatternSystem, prior: Prior, splits: Tensor) -> dict[float, Tensor]:
    """(held out, element) squared misfits at a few lambdas around the expected one; arguments as `choose_penalty`."""
    centre = expected_penalty(system, prior)
    return _misfits(system, prior, splits, [centre * step for step in _STEPS])


def best_score(misfits: Mapping[float, Tensor]) -> float:
    """Of the best of some lambdas; `choose_penalty` does not end much below that of `first_misfits`."""
    return min(_score(of_one) for of_one in misfits.values())


def choose_penalty(
    system: PatternSystem,
    prior: Prior,
    splits: Tensor,
    told: Told | None = None,
    begun: Mapping[float, Tensor] | None = None,
) -> Choice:
    """The lambda whose maps explain the held-out measurements best, and a step up; in steps of the root of 2.

    Args:
        system: of all measurements.
        prior: that is weighed.
        splits: of `held_out_weights`.
        told: called with the fraction done.
        begun: what `first_misfits` found; None: it is asked here.
    """
    found = dict(first_misfits(system, prior, splits) if begun is None else begun)
    for extension in range(_EXTENSIONS + 1):
        best = min(found, key=lambda penalty: _score(found[penalty]))
        _tell(told, (extension + 1) / (_EXTENSIONS + 3))
        is_enclosed = min(found) < best < max(found) or not _SEARCHED[0] < best < _SEARCHED[1]
        if is_enclosed or extension == _EXTENSIONS:
            break
        found |= _misfits(system, prior, splits, [best / 2 if best == min(found) else 2 * best])
    found |= _misfits(system, prior, splits, [best / _UP, best * _UP])
    best = min(found, key=lambda penalty: _score(found[penalty]))
    _tell(told, 1.0)
    return Choice(best * _UP, found[best], tuple((p, _score(found[p])) for p in sorted(found)))


def _misfits(system: PatternSystem, prior: Prior, splits: Tensor, penalties: list[float]) -> dict[float, Tensor]:
    n_splits = len(splits)
    splits = splits.to(system.weights.device)
    repeated = splits.repeat(len(penalties), 1)
    each = torch.tensor(penalties, dtype=torch.float32).repeat_interleave(n_splits)
    images = solve(
        system.operator, Problems(system.values, repeated * system.weights, each), prior, iterations=_ITERATIONS
    )
    missed = (system.operator.forward(images) - system.values.T).square() * system.weights
    missed = missed.reshape(len(penalties), n_splits, *missed.shape[1:]).permute(0, 1, 3, 2)
    return {penalty: missed[i][splits == 0] for i, penalty in enumerate(penalties)}


def _tell(told: Told | None, fraction: float) -> None:
    if told is not None:
        told(fraction)


def _score(misfits: Tensor) -> float:
    return float(misfits.double().mean(0).clamp_min(1e-12).log().mean())
