"""A measurement made ready: patterns as an operator, counts in units of their noise, measurements held out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.operator import PatternOperator
from models.singlepixel.txm import Placed, places

Progress = Callable[[str, float], None]

_HELD_OUT = 0.1
_FEWEST_FOR_HOLDING_OUT = 20
_ENOUGH_HELD_OUT, _MOST_TIMES = 96, 3
"""Measurements; where a tenth are fewer, others are held out instead, up to so many times."""
_PEAK_OVER_MEAN = 4.0
"""Of a map, where no picture tells: half a field that is filled, half as high on average as at its maximum."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What every method works with.

    Maps inside are in units in which the noise of every element's counts is the same and the highest map near one. That
    is what a coupled penalty and one lambda ask for: an element that is seen badly may not say where edges are.

    Attributes:
        measurement: as it came.
        operator: its patterns.
        units: (E,) counts per unit of map and of scaled pattern; see `maps`.
        signals: (E, N).
        noise: standard deviation of the signals.
        trained: (F, N) 1 where a measurement is used while lambda is chosen, 0 where it is held out, F times.
        pictures: in transmission: as it was taken, and moved to where the counts want it; none without one.
        variances: (E, N) of the counts.
        phases: (P, E) amount of each element in each known phase; None where none is known.
        seed: of everything by chance.
    """

    measurement: PatternMeasurement
    operator: PatternOperator
    units: NDArray[np.float64]
    signals: Tensor
    noise: float
    trained: Tensor
    pictures: tuple[Placed, ...]
    variances: NDArray[np.float64]
    phases: NDArray[np.float64] | None
    seed: int

    @property
    def can_hold_out(self) -> bool:
        """Whether there are measurements enough to hold some out."""
        return bool((self.trained == 0).any())

    @property
    def everything(self) -> Tensor:
        """(1, N) weights of all measurements."""
        return torch.ones((1, self.operator.n_patterns), device=self.operator.device)

    def misfits(self, maps: Tensor) -> NDArray[np.float64]:
        """(R, F * held out) squared residuals, mean over elements, in noise variances, of maps (R, F, E, y, x)."""
        squared = (self.operator.project(maps) - self.signals).double().square().mean(2)
        held_out = squared[:, self.trained == 0]
        return np.asarray(held_out.cpu().numpy() / self.noise**2)

    def counted(self, maps: Tensor) -> NDArray[np.float32]:
        """(..., E, y, x) in counts per unit of pattern."""
        values = maps.cpu().numpy() * self.units[:, None, None]
        return np.asarray(values, np.float32)


def make_ready(
    measurement: PatternMeasurement, seed: int = 0, device: str = "cpu", phases: NDArray[np.float64] | None = None
) -> Setup:
    """Everything that methods share."""
    operator = PatternOperator(measurement.patterns, device)
    counts = np.stack(list(measurement.counts.values()))
    variances = _variances(measurement, counts)
    deviation = np.sqrt(variances.mean(1))
    pictures: tuple[Placed, ...] = ()
    if measurement.txm is not None and np.ptp(measurement.txm) > 0 and operator.n_patterns > len(counts) + 2:
        pictures = places(measurement.txm, measurement.patterns, counts / deviation[:, None])
    mean = np.abs(counts.mean(1)) / float(measurement.patterns.sum((1, 2), dtype=np.float64).mean())
    peak = float(1 / np.clip(pictures[0].image.mean(), 0.05, 1)) if pictures else _PEAK_OVER_MEAN
    units = deviation * max(float((mean * peak / deviation).max()), np.finfo(np.float64).tiny)
    signals = counts / units[:, None] / operator.scale
    noise = float(np.sqrt(np.mean((deviation / units / operator.scale) ** 2)))
    return Setup(
        measurement,
        operator,
        units,
        torch.from_numpy(signals.astype(np.float32)).to(operator.device),
        noise,
        _trained(operator.n_patterns, seed).to(operator.device),
        pictures,
        variances,
        phases,
        seed,
    )


def _variances(measurement: PatternMeasurement, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    if measurement.variances is None:
        return np.maximum(counts, 1.0)
    return np.stack([measurement.variances[element] for element in measurement.elements])


def _trained(n: int, seed: int) -> Tensor:
    if n < _FEWEST_FOR_HOLDING_OUT:
        return torch.ones((1, n))
    order, n_held = np.random.default_rng(seed).permutation(n), round(_HELD_OUT * n)
    n_times = int(np.clip(round(_ENOUGH_HELD_OUT / n_held), 1, _MOST_TIMES))
    weights = torch.ones((n_times, n))
    for time in range(n_times):
        weights[time, torch.from_numpy(order[time * n_held : (time + 1) * n_held])] = 0
    return weights
