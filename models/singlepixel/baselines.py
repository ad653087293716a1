"""Linear reconstructions without any knowledge of maps: what the others are measured by."""

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from models.singlepixel.operator import PatternOperator

_RCOND = 1e-6
"""Of the pseudo-inverse, in squared singular values: what single precision of the patterns allows."""


def pseudo_inverse(operator: PatternOperator, signals: NDArray[np.float64]) -> NDArray[np.float32]:
    """(E, y, x) maps of least norm among those that explain the signals (E, N) best."""
    values, vectors = scipy.linalg.eigh(operator.plain_gram())
    kept = values > _RCOND * values[-1]
    part = vectors[:, kept]
    return _back(operator, (signals @ part / values[kept]) @ part.T)


def ridge(operator: PatternOperator, signals: NDArray[np.float64], alpha: float) -> NDArray[np.float32]:
    """(E, y, x) minimum of ``|A x - y|^2 + alpha |x|^2``."""
    gram = operator.plain_gram()
    gram[np.diag_indices(len(gram))] += alpha
    return _back(operator, scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), signals.T).T)


def _back(operator: PatternOperator, dual: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(operator.adjoint(torch.from_numpy(dual).float().to(operator.device)).cpu().numpy())
