"""What the patterns alone give: the pseudo-inverse and ridge regression, with the posterior that they imply."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from models.singlepixel.measurement import Array, PatternMeasurement

RCOND = 1e-6
"""Singular values below this share of the largest are noise of float32."""


@dataclass(frozen=True, eq=False)
class LinearMaps:
    """Maps that are linear in the counts.

    Attributes:
        maps: (element, y, x) in counts per the patterns' unit; negative where noise makes them so.
        sigma: (element, y, x) posterior of white images, or None.
        alpha: variance of a measurement over the prior variance of a pixel.
    """

    maps: NDArray[np.float32]
    sigma: NDArray[np.float32] | None
    alpha: float


def pseudo_inverse(measurement: PatternMeasurement, rcond: float = RCOND) -> NDArray[np.float32]:
    """(element, y, x): the shortest maps among those that explain the counts best.

    Args:
        measurement: N patterns.
        rcond: singular values below this share of the largest are left out.

    Source: Penrose, Proc. Camb. Philos. Soc. 51 (1955) 406; by the eigenvectors of A A^T.
    """
    rows, counts = _rows(measurement), measurement.table()
    if len(rows) <= rows.shape[1]:
        inverse = _inverse_of_square(_gram(rows), rcond)
        return _images(rows.T @ (inverse @ counts).astype(np.float32), measurement)
    inverse = _inverse_of_square(_gram(np.ascontiguousarray(rows.T)), rcond)
    return _images(inverse @ (rows.T.astype(np.float64) @ counts), measurement)


def ridge(measurement: PatternMeasurement, *, alpha: float | None = None, uncertainty: bool = False) -> LinearMaps:
    """Least squares with a penalty on the squared maps, its weight by the evidence of the counts themselves.

    Args:
        measurement: N patterns.
        alpha: weight in the squared unit of a pattern; None: the one under which the counts are most probable.
        uncertainty: also the standard deviation of the posterior.

    Source: Rasmussen and Williams, Gaussian Processes (2006), eq. 2.25, 2.26 and 5.8 (with a white prior).
    """
    rows, counts = _rows(measurement), measurement.table()
    values, vectors = scipy.linalg.eigh(_gram(rows))
    values = np.maximum(values, 0)
    turned = vectors.T @ counts
    alpha = _most_probable(values, turned) if alpha is None else alpha
    found = rows.T @ (vectors @ (turned / (values + alpha)[:, None])).astype(np.float32)
    prior = np.mean(turned**2 / (values + alpha)[:, None], axis=0)
    sigma = None
    if uncertainty:
        left = (vectors / np.sqrt(values + alpha)).astype(np.float32).T @ rows
        known = np.einsum("nm,nm->m", left, left)
        sigma = _images(np.sqrt(np.maximum(1 - known, 0))[:, None] * np.sqrt(prior), measurement)
    return LinearMaps(_images(found, measurement), sigma, float(alpha))


def _most_probable(values: Array, turned: Array) -> float:
    """The alpha of the largest marginal likelihood, each element with a prior variance of its own."""
    alphas = np.geomspace(1e-8, 1e2, 81) * max(float(values.max()), 1e-300)
    evidence = []
    for alpha in alphas:
        variance = np.mean(turned**2 / (values + alpha)[:, None], axis=0)
        fit = np.sum(np.log(np.maximum(variance, 1e-300))) * len(values)
        evidence.append(fit + turned.shape[1] * np.sum(np.log(values + alpha)))
    return float(alphas[int(np.argmin(evidence))])


def _rows(measurement: PatternMeasurement) -> NDArray[np.float32]:
    return measurement.patterns.reshape(len(measurement.patterns), -1)


def _gram(rows: NDArray[np.float32]) -> Array:
    return np.asarray((rows @ rows.T).astype(np.float64))


def _inverse_of_square(gram: Array, rcond: float) -> Array:
    """Of A A^T, from the singular values of A above their limit."""
    values, vectors = scipy.linalg.eigh(gram)
    kept = values > max(rcond**2, np.finfo(np.float32).eps) * values[-1]
    return np.asarray((vectors[:, kept] / values[kept]) @ vectors[:, kept].T)


def _images(found: NDArray[np.floating], measurement: PatternMeasurement) -> NDArray[np.float32]:
    return np.ascontiguousarray(found.T, dtype=np.float32).reshape(len(measurement.elements), *measurement.shape)
