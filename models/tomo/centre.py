"""The rotation axis from the projections themselves.

The centre of mass of a specimen that stands wholly in view moves on a sinusoid about the rotation axis:
u(theta) = c + X cos(theta) + Z sin(theta). The fit needs no order, range or spacing of the angles.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tomo.geometry import Array, checked_angles
from models.tomo.missing import fill_missing

_LEAST_ANGLES = 4
_LEAST_SPREAD = 1e-3
"""Of the smallest singular value of the fit over the largest: below it all angles are almost one."""
_BISQUARE = 4.685
"""Tukey's constant: 95 % efficiency on Gaussian residuals."""
_ROUNDS = 20


@dataclass(frozen=True)
class CentreEstimate:
    """Where the rotation axis stands on the detector.

    Attributes:
        value_px: edge coordinates.
        sigma_px: one standard deviation, from the scatter of the projections about the sinusoid.
        method: how it was found.
    """

    value_px: float
    sigma_px: float
    method: str


def find_centre_px(projections: NDArray[np.float32], angles_deg: ArrayLike) -> CentreEstimate:
    """Fit the sinusoid of the centre of mass, robust against single bad projections (bisquare weights).

    Args:
        projections: (angle, y, u), or (element, angle, y, u): elements are added up, each scaled to the same mass. NaN
            where not measured. The whole specimen is in view at every angle, and the maps are free of background.
        angles_deg: one per projection.

    Raises:
        ValueError: fewer than 4 projections with any mass, or their angles are almost the same.
    """
    if projections.ndim not in (3, 4):
        raise ValueError(f"projections have shape {projections.shape}: pass (angle, y, x) or (element, angle, y, x)")
    stacks = projections.reshape(-1, *projections.shape[-3:])
    angles = np.deg2rad(checked_angles(angles_deg, stacks.shape[1]))
    centres = _mass_centres(np.sum([_profiles(stack) for stack in stacks], axis=0))
    seen = np.isfinite(centres)
    if np.count_nonzero(seen) < _LEAST_ANGLES:
        raise ValueError(
            f"{np.count_nonzero(seen)} of {len(angles)} projections have mass in view: "
            f"the rotation axis needs {_LEAST_ANGLES}, or give its place"
        )
    design = np.stack([np.ones(len(angles)), np.cos(angles), np.sin(angles)], axis=1)[seen]
    singular = np.linalg.svd(design, compute_uv=False)
    if singular[-1] < _LEAST_SPREAD * singular[0]:
        raise ValueError("the angles are too alike to tell the rotation axis from the specimen's place: give the axis")
    value_px, sigma_px = _robust_intercept(design, centres[seen])
    return CentreEstimate(value_px, sigma_px, "sinusoid of the centre of mass")


def _profiles(stack: NDArray[np.float32]) -> Array:
    """(angle, u) sums over y, of unit mass in the median; angles without any measured pixel are NaN."""
    measured = np.isfinite(stack).any(axis=(1, 2))
    profiles = np.full((len(stack), stack.shape[-1]), np.nan)
    if measured.any():
        profiles[measured] = fill_missing(stack[measured]).values.sum(axis=1, dtype=np.float64)
        profiles /= max(abs(float(np.nanmedian(profiles.sum(axis=1)))), np.finfo(np.float64).tiny)
    return profiles


def _mass_centres(profiles: Array) -> Array:
    """(angle,) in edge coordinates; NaN where there is not a tenth of the usual mass."""
    mass = profiles.sum(axis=1)
    enough = mass > 0.1 * np.nanmedian(mass) if np.isfinite(mass).any() else np.zeros(len(mass), bool)
    moments = profiles @ (np.arange(profiles.shape[1]) + 0.5)
    centres: Array = np.where(enough, moments / np.where(enough, mass, 1.0), np.nan)
    return centres


def _robust_intercept(design: Array, values: Array) -> tuple[float, float]:
    """(first coefficient, its standard deviation) of a linear fit by iteratively reweighted least squares."""
    weights = np.ones(len(values))
    for _ in range(_ROUNDS):
        scaled = design * weights[:, None]
        coefficients = np.linalg.lstsq(scaled, values * weights, rcond=None)[0]
        residuals = values - design @ coefficients
        spread = 1.4826 * np.median(np.abs(residuals))
        if not spread > 1e-9:
            break
        weights = np.clip(1 - (residuals / (_BISQUARE * spread)) ** 2, 0.0, None)
    inverse = np.linalg.pinv((design * weights[:, None]).T @ (design * weights[:, None]))
    freedom = max(float(np.sum(weights**2)) - design.shape[1], 1.0)
    variance = float(np.sum((weights * residuals) ** 2)) / freedom
    return float(coefficients[0]), float(np.sqrt(inverse[0, 0] * variance))
