"""A measurement in the units that reconstructions work in: patterns as an operator, counts of all elements alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.measurement import Array, PatternMeasurement
from models.singlepixel.operator import PatternOperator

_SIGNAL_SHARE = 0.05
"""Least share of the spread of the counts that is taken for signal: it only sets a scale."""
_RMS = 0.35
"""What the root mean square of a map is made, so that its peak stands near 1 in specimens that half fill the field."""

_LEAST_RESPONSE = 1e-3
_RMS_OVER_MEAN = 2.0  # of specimens that half fill the field


@dataclass(frozen=True, eq=False)
class PatternSystem:
    """Counts over unit and scale, so that the maps that are looked for have one root mean square.

    Attributes:
        operator: of the patterns.
        values: (N + 1, element), of the operator's rows.
        units: (element,) a map in counts per the patterns' unit over the map that is looked for.
        noise: (element,) rms standard deviation of ``values`` but for the last.
        weights: (N + 1,) of each row's squared misfit: inverse variance, mean 1; the last, of the mean pattern, is 1.
    """

    operator: PatternOperator
    values: Tensor
    units: Array
    noise: Array
    weights: Tensor

    def maps(self, images: Tensor) -> NDArray[np.float32]:
        """Images (..., element, y, x) in counts per the patterns' unit."""
        return (images.cpu().numpy() * self.units[:, None, None]).astype(np.float32)


def system_of(
    measurement: PatternMeasurement, device: str = "cpu", operator: PatternOperator | None = None
) -> PatternSystem:
    """Bring a measurement into these units.

    Args:
        measurement: as `models.singlepixel.measurement.checked` leaves it.
        device: of torch.
        operator: of its patterns, where there is one already.
    """
    operator = operator or PatternOperator(measurement.patterns, device)
    counts, variance = measurement.table(), measurement.table_variance()
    noise = variance.mean(axis=0)
    units = _units(operator, counts, noise)
    weights = np.append(_row_weights(measurement, variance), np.float32(1))
    return PatternSystem(
        operator,
        operator.measured(counts / units),
        units,
        np.sqrt(noise) / (units * operator.scale),
        torch.from_numpy(weights).to(operator.device),
    )


def _units(operator: PatternOperator, counts: Array, noise: Array) -> Array:
    """(element,) of maps of one rms: by what the counts vary by, or by their mean where patterns do not differ."""
    rows = operator.measured(counts).double().cpu().numpy()
    response = operator.response()
    if response > _LEAST_RESPONSE:
        spread = np.square(rows[:-1]).mean(axis=0)
        signal = np.maximum(spread - noise / operator.scale**2, _SIGNAL_SHARE * spread)
        rms = np.sqrt(signal) / response
    else:
        rms = _RMS_OVER_MEAN * np.abs(rows[-1]) / operator.mean_response()
    return np.where(rms > 0, rms, 1.0) / _RMS


def _row_weights(measurement: PatternMeasurement, variance: Array) -> NDArray[np.float32]:
    """(N,) inverse variances over their mean: given ones, or for Poisson counts those that a pattern's light makes.

    The light, not the counts: a pattern whose counts happen to be low would weigh more and pull the maps down.
    """
    if measurement.variances is None:
        relative = measurement.patterns.sum(axis=(1, 2), dtype=np.float64)
        relative = np.maximum(relative, 1e-3 * relative.mean())
    else:
        relative = (variance / variance.mean(axis=0)).mean(axis=1)
    weights: NDArray[np.float64] = 1 / relative
    return np.asarray(weights / weights.mean(), np.float32)
