"""Damped least squares by LSMR: deconvolution without positivity or a noise model, as ptychozoon's VSPI does it."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, lsmr

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.baselines.readings import CountRule, check_readings, enhanced_by, typical_counts
from models.superres.baselines.seen import SeenField, Solution
from models.superres.enhancer import NOT_CALIBRATED, Calibration, EnhancedMaps
from models.xrf.maps import ElementMaps

_VERSION = "least-squares-1"
_OUT_OF_ITERATIONS = 7  # lsmr's istop


@dataclass(frozen=True)
class LeastSquaresEnhancer:
    """Least squares with a damping that falls with the counts, each element by itself.

    Attributes:
        damping: by typical counts; tuned by `tests/models/superres/baselines/tune.py`.
        tolerance: see `least_squares`.
        most_iterations: at most.
    """

    damping: CountRule = CountRule(0.95, -0.23)  # noqa: RUF009
    tolerance: float = 1e-5
    most_iterations: int = 1000

    @property
    def name(self) -> str:
        """As in settings."""
        return "least-squares"

    @property
    def digest(self) -> str:
        """Of the version and the parameters."""
        return sha256(f"{_VERSION} {self}".encode()).hexdigest()[:16]

    @property
    def calibration(self) -> Calibration:
        """None."""
        return NOT_CALIBRATED

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale.

        Raises:
            ValueError: scale is below 1, or an element was measured nowhere.
        """
        return enhanced_by(self._solve, coarse, probe, motion, scale)

    def _solve(
        self, readings: NDArray[np.float64], counts_per_unit: float, mask: NDArray[np.bool_], operator: FlyScanOperator
    ) -> Solution:
        counts = typical_counts(counts_per_unit * np.maximum(readings[mask], 0))
        damping = self.damping.at(counts, operator.scale)
        return least_squares(
            readings, mask, operator, damping, tolerance=self.tolerance, most_iterations=self.most_iterations
        )


def least_squares(
    readings: NDArray[np.floating],
    mask: NDArray[np.bool_],
    operator: FlyScanOperator,
    damping: float,
    *,
    tolerance: float,
    most_iterations: int,
) -> Solution:
    """Minimise |A x - readings|^2 + damping^2 |x - mean|^2 over fine maps x, with the mean of the measured readings.

    The damping pulls towards the mean, not to nothing as in VSPI, so that it takes no flux.

    Args:
        readings: (y, x), of any unit and sign.
        mask: (y, x), True where measured; nothing else is read.
        operator: of the scan.
        damping: without unit; 1 / scale halves what the scan sees best.
        tolerance: relative, lsmr's ``atol`` and ``btol``; the operator's float32 allows 1e-6.
        most_iterations: at most.

    Returns:
        The map in the readings' unit; its ``objective`` is the minimum.

    Raises:
        ValueError: readings that do not fit the scan.

    Source: Fong and Saunders, SIAM J. Sci. Comput. 33 (2011) 2950 (LSMR); the method of VSPI in ptychozoon.
    """
    check_readings(readings, mask, operator)
    field = SeenField(operator)

    def forward(x: NDArray[np.float64]) -> NDArray[np.float64]:
        seen = torch.from_numpy(x.reshape(field.shape).astype(np.float32))
        return np.asarray(field.forward(seen).numpy()[mask], np.float64)

    def adjoint(values: NDArray[np.float64]) -> NDArray[np.float64]:
        coarse = np.zeros(mask.shape, np.float32)
        coarse[mask] = values.ravel()
        return np.asarray(field.adjoint(torch.from_numpy(coarse)).numpy().ravel(), np.float64)

    shape = (int(mask.sum()), field.shape[0] * field.shape[1])
    scan = LinearOperator(shape, matvec=forward, rmatvec=adjoint, dtype=np.float64)
    mean = float(readings[mask].mean())
    x, reason, iterations, residual, *_ = lsmr(
        scan, readings[mask] - mean, damping, tolerance, tolerance, conlim=0, maxiter=most_iterations
    )
    seen = torch.from_numpy(mean + x.reshape(field.shape))
    return field.solution(seen, int(iterations), int(reason) != _OUT_OF_ITERATIONS, float(residual) ** 2)
