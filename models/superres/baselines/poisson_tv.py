"""Poisson likelihood with total variation and positivity, minimised by a primal-dual method until a gap proves it."""

from dataclasses import dataclass
from hashlib import sha256
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from torch import Tensor

from models.differences import differences, differences_adjoint
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.baselines.readings import CountRule, Counts, as_counts, enhanced_by, typical_counts
from models.superres.baselines.seen import SeenField, Solution
from models.superres.enhancer import NOT_CALIBRATED, Calibration, EnhancedMaps
from models.xrf.maps import ElementMaps

_VERSION = "poisson-tv-1"
_DUAL_STEP = 3.0  # of the readings, times sqrt(typical counts): any converges; of 0.3 to 10 soonest, 30 to 1e5 counts
_GRADIENT_STEP, _BOUND_STEP = 10.0, 1.0  # of the duals of gradient and bound, over the primal step; likewise
_RELAXATION = 1.8  # below 2
_CHECK_EVERY = 20  # iterations: the gap costs as much as two
_BRIGHTEST = 1.5  # times the brightest pixel so far: the minimiser is taken to be nowhere brighter
_NEGLIGIBLE = 1e-6  # of an objective per point, over the typical counts: readings off by a thousandth
_LEAST_READING = 1e-7  # of the typical one


@dataclass(frozen=True)
class PoissonTvEnhancer:
    """Edges kept, noise flattened, each element by itself: at its best where specimens are pieces of one density.

    Attributes:
        weight: of total variation, by typical counts; tuned by `tests/models/superres/baselines/tune.py`.
        tolerance: see `poisson_tv`.
        most_iterations: at most.
    """

    weight: CountRule = CountRule(0.7, -0.72)  # noqa: RUF009
    tolerance: float = 1e-2
    most_iterations: int = 2000

    @property
    def name(self) -> str:
        """As in settings."""
        return "poisson-tv"

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
        weight = self.weight.at(typical_counts(counts_per_unit * counts[mask]), operator.scale)
        return poisson_tv(
            counts,
            counts_per_unit,
            mask,
            operator,
            weight,
            tolerance=self.tolerance,
            most_iterations=self.most_iterations,
        )


def poisson_tv(
    readings: NDArray[np.floating],
    counts_per_unit: float,
    mask: NDArray[np.bool_],
    operator: FlyScanOperator,
    weight: float,
    *,
    tolerance: float,
    most_iterations: int,
) -> Solution:
    """Minimise KL(counts; A z) + weight * TV(z) over fine maps z >= 0 of counts.

    TV sums the lengths of the differences to the next pixels along y and x, over the field of view and the near margin
    of `SeenField`. It stops when the primal-dual gap, an upper bound of what is left to gain by maps nowhere brighter
    than `_BRIGHTEST` times this one, is at most ``tolerance`` times the objective.

    Args:
        readings: (y, x), not negative where measured.
        counts_per_unit: counts that make a reading of 1.
        mask: (y, x), True where measured; nothing else is read.
        operator: of the scan.
        weight: of total variation; needs no unit.
        tolerance: relative gap.
        most_iterations: at most.

    Returns:
        The map z in the readings' unit; its ``objective`` is the minimum, KL being half the Poisson deviance.

    Raises:
        ValueError: readings that are no counts or do not fit the scan, or a weight that is not positive.

    Source: Chambolle and Pock, J. Math. Imaging Vis. 40 (2011) 120, algorithm 1; its primal step: Pock and Chambolle,
    ICCV (2011) 1762, lemma 1; over-relaxation: Condat, J. Optim. Theory Appl. 158 (2013) 460; total variation of
    Poisson data: Le, Chartrand and Asaki, J. Math. Imaging Vis. 27 (2007) 257.
    """
    if not 0 < weight < np.inf:
        raise ValueError(f"weight is {weight}: pass a positive number")
    field = SeenField(operator)
    counts = as_counts(readings, counts_per_unit, mask, operator)
    if counts is None:
        return field.solution(torch.zeros(field.shape), 0, True, 0.0)
    search = _PrimalDual(field, counts, weight)
    negligible = _NEGLIGIBLE * float(counts.measured.sum())
    objective, converged, iterations = np.inf, False, 0
    while not converged and iterations < most_iterations:
        for _ in range(min(_CHECK_EVERY, most_iterations - iterations)):
            search.step()
            iterations += 1
        objective = search.objective()
        converged = objective - search.lower_bound() <= tolerance * max(objective, negligible)
    fine = search.estimate() / counts.per_unit
    return field.solution(fine, iterations, converged, counts.typical * objective)


class _Saddle(NamedTuple):
    """A fine map and the duals of readings, gradient and bound."""

    x: Tensor
    p: Tensor
    q: tuple[Tensor, Tensor]
    r: Tensor

    def carried_on(self, to: "_Saddle") -> "_Saddle":
        """From here beyond ``to``."""

        def beyond(there: Tensor, here: Tensor) -> Tensor:
            return torch.lerp(here, there, _RELAXATION)

        q_y, q_x = (beyond(there, here) for there, here in zip(to.q, self.q, strict=True))
        return _Saddle(beyond(to.x, self.x), beyond(to.p, self.p), (q_y, q_x), beyond(to.r, self.r))


class _PrimalDual:
    """The saddle point of <A x, p> - KL*(p) + <grad x, q> + <x, r>, |q| <= weight, r <= 0, for relative counts.

    The primal step is tau (1 + c + b L)^-1, with L = grad^T grad, diagonal under the cosine transform, for dual steps
    1 / (tau |A|^2), b / tau and c / tau: its inverse bounds K^T Sigma K. A single number would have to be smaller by
    8 b for all but the finest structure. |A|^2 <= |A|_1 |A|_inf, and the rows of A sum to 1.
    """

    def __init__(self, field: SeenField, counts: Counts, weight: float) -> None:
        self._field, self._counts, self._weight = field, counts, weight
        norm_squared = float(field.adjoint(counts.measured).max())
        self._reading_step = _DUAL_STEP / sqrt(counts.typical)
        tau = 1 / (self._reading_step * norm_squared)
        self._gradient_step, self._bound_step = _GRADIENT_STEP / tau, _BOUND_STEP / tau
        along_y, along_x = (2 - 2 * np.cos(np.pi * np.arange(side) / side) for side in field.shape)
        laplacian = along_y[:, None] + along_x
        self._step = (tau / (1 + _BOUND_STEP + _GRADIENT_STEP * laplacian)).astype(np.float32)
        flat = torch.full(field.shape, float(counts.relative.sum() / counts.measured.sum()))
        empty = torch.zeros(field.shape)
        self._now = self._carried = _Saddle(flat, torch.zeros_like(counts.relative), (empty, empty), empty)

    def step(self) -> None:
        """One iteration: primal, dual, and both carried on by `_RELAXATION`."""
        x, p, (q_y, q_x), r = self._carried
        uphill = (self._pull(p, q_y, q_x) + r).numpy()
        change = torch.from_numpy(idctn(self._step * dctn(uphill, norm="ortho"), norm="ortho"))
        ahead = x - 2 * change
        v = p + self._reading_step * self._field.forward(ahead)
        root = torch.sqrt((v - 1) ** 2 + 4 * self._reading_step * self._counts.relative)
        along_y, along_x = differences(ahead)
        along_y, along_x = q_y + self._gradient_step * along_y, q_x + self._gradient_step * along_x
        excess = (torch.hypot(along_y, along_x) / self._weight).clamp_min(1)
        self._now = _Saddle(
            x=x - change,
            p=(v + 1 - root) / 2 * self._counts.measured,
            q=(along_y / excess, along_x / excess),
            r=(r + self._bound_step * ahead).clamp_max(0),
        )
        self._carried = self._carried.carried_on(self._now)

    def estimate(self) -> Tensor:
        """The fine map as it stands, in relative counts."""
        return self._now.x.clamp_min(0)

    def objective(self) -> float:
        """Of the estimate, over the typical counts."""
        expected = self._field.forward(self.estimate()).double().clamp_min(_LEAST_READING)
        n = self._counts.relative.double()
        divergence = (torch.xlogy(n, n / expected) - n + expected) * self._counts.measured
        variation = torch.hypot(*differences(self.estimate())).double().sum()
        return float(divergence.sum() + self._weight * variation)

    def lower_bound(self) -> float:
        """Of the objective of any map that is nowhere brighter than `_BRIGHTEST` times this one."""
        likelihood = torch.xlogy(self._counts.relative.double(), 1 - self._now.p.double()).sum()
        downhill = (-self._pull(self._now.p, *self._now.q)).clamp_min(0).double().sum()
        return float(likelihood - _BRIGHTEST * self._now.x.max().double() * downhill)

    def _pull(self, p: Tensor, q_y: Tensor, q_x: Tensor) -> Tensor:
        return self._field.adjoint(p) + differences_adjoint(q_y, q_x)
