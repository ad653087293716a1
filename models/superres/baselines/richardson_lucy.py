"""Poisson maximum likelihood by Richardson-Lucy iterations, stopped when the readings are explained to their noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import poisson

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.baselines.readings import Counts, as_counts, enhanced_by
from models.superres.baselines.seen import SeenField, Solution
from models.superres.enhancer import NOT_CALIBRATED, Calibration, EnhancedMaps
from models.xrf.maps import ElementMaps

_VERSION = "richardson-lucy-1"
_UNSEEN = 1e-5  # of the largest sensitivity: rounding of the transforms
_LEAST_READING = 1e-7  # of the typical one
_LARGE_MEAN = 50.0


@dataclass(frozen=True)
class RichardsonLucyEnhancer:
    """The astronomers' and microscopists' deconvolution, each element by itself.

    Attributes:
        deviance_level: see `richardson_lucy`; tuned by `tests/models/superres/baselines/tune.py`.
        most_iterations: at most.
    """

    deviance_level: float = 0.9
    most_iterations: int = 1000

    @property
    def name(self) -> str:
        """As in settings."""
        return "richardson-lucy"

    @property
    def digest(self) -> str:
        """Of the version and the parameters."""
        return sha256(f"{_VERSION} {self}".encode()).hexdigest()[:16]

    @property
    def calibration(self) -> Calibration:
        """None."""
        return NOT_CALIBRATED

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale; negative readings count as zero.

        Raises:
            ValueError: scale is below 1, or an element was measured nowhere.
        """
        return enhanced_by(self._solve, coarse, probe, motion, scale)

    def _solve(
        self, readings: NDArray[np.float64], counts_per_unit: float, mask: NDArray[np.bool_], operator: FlyScanOperator
    ) -> Solution:
        counts = np.maximum(readings, 0)
        return richardson_lucy(
            counts,
            counts_per_unit,
            mask,
            operator,
            deviance_level=self.deviance_level,
            most_iterations=self.most_iterations,
        )


def richardson_lucy(
    readings: NDArray[np.floating],
    counts_per_unit: float,
    mask: NDArray[np.bool_],
    operator: FlyScanOperator,
    *,
    deviance_level: float,
    most_iterations: int,
) -> Solution:
    """Multiply a flat map by what the readings ask for, until their deviance is that of noise.

    Every iteration raises the Poisson likelihood and makes the expected counts add up to the measured ones. It stops
    when the mean deviance per point is at most ``deviance_level`` times what Poisson noise alone would give at the
    present estimate; the truth need not be known.

    Args:
        readings: (y, x), not negative where measured.
        counts_per_unit: counts that make a reading of 1.
        mask: (y, x), True where measured; nothing else is read.
        operator: of the scan.
        deviance_level: 1 explains the readings to their noise; 0 never stops early.
        most_iterations: at most.

    Returns:
        The map in the readings' unit; its ``objective`` is the mean Poisson deviance per measured point.

    Raises:
        ValueError: readings that are no counts or do not fit the scan.

    Source: Richardson, J. Opt. Soc. Am. 62 (1972) 55; Lucy, Astron. J. 79 (1974) 745; as expectation maximisation,
    Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113; the discrepancy of Poisson readings, Bertero et al., Inverse
    Problems 26 (2010) 105004.
    """
    field = SeenField(operator)
    counts = as_counts(readings, counts_per_unit, mask, operator)
    if counts is None:
        return field.solution(torch.zeros(field.shape), 0, True, 0.0)
    sensitivity = field.adjoint(counts.measured)
    seen = sensitivity > _UNSEEN * sensitivity.max()
    estimate = torch.full(field.shape, float(counts.relative.sum() / counts.measured.sum()))
    expected = field.forward(estimate).clamp_min(_LEAST_READING)
    deviance, noise = _deviance(expected.numpy(), counts)
    iterations = 0
    while deviance > deviance_level * noise and iterations < most_iterations:
        demanded = field.adjoint(counts.relative / expected).clamp_min(0)
        estimate = torch.where(seen, estimate * demanded / sensitivity, estimate)
        expected = field.forward(estimate).clamp_min(_LEAST_READING)
        deviance, noise = _deviance(expected.numpy(), counts)
        iterations += 1
    return field.solution(estimate / counts.per_unit, iterations, deviance <= deviance_level * noise, deviance)


def _deviance(expected: NDArray[np.float32], counts: Counts) -> tuple[float, float]:
    """Mean deviance per measured point, and what Poisson noise of the expected counts would make it."""
    inside = counts.measured.numpy() > 0
    mean = counts.typical * expected[inside].astype(np.float64)
    n = counts.typical * counts.relative.numpy()[inside].astype(np.float64)
    deviance = 2 * (xlogy(n, n / mean) - n + mean)
    return float(deviance.mean()), float(_expected_deviance()(mean).mean())


@lru_cache(maxsize=1)
def _expected_deviance() -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The mean deviance of a Poisson variable by its mean: 1 for large means, up to 1.15, and 0 where nothing comes."""
    means = np.geomspace(1e-6, _LARGE_MEAN, 400)
    n = np.arange(200)
    probability = poisson.pmf(n, means[:, None])
    table = 2 * (probability @ xlogy(n, n) - xlogy(means, means))

    def interpolated(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        small = np.interp(np.log(np.maximum(mean, means[0])), np.log(means), table)
        return np.where(mean < _LARGE_MEAN, small, 1 + 1 / (6 * np.maximum(mean, _LARGE_MEAN)))

    return interpolated
