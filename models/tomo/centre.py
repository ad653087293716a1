"""The rotation axis from the projections themselves.

The centre of mass of a specimen that stands wholly in view moves on a sinusoid about the rotation axis:
u(theta) = c + X cos(theta) + Z sin(theta). The fit needs no order, range or spacing of the angles. A specimen that goes
on beyond the borders has no centre of mass in view: its axis comes from the double wedge instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tomo.centre_wedge import covers_half_a_turn, wedge_centre
from models.tomo.geometry import Array, checked_angles
from models.tomo.missing import fill_missing

_BY_MASS = "sinusoid of the centre of mass"
_LEAST_ANGLES = 4
_LEAST_SPREAD = 1e-3
"""Of the smallest singular value of the fit over the largest: below it all angles are almost one."""
_BISQUARE = 4.685
"""Tukey's constant: 95 % efficiency on Gaussian residuals."""
_ROUNDS = 20
_LEAST_BORDER_PX = 2
_BORDER = 1 / 32
_BESIDE = 1 / 8
"""Of the width."""
MOST_AT_BORDERS = 0.1
"""Of the mean profile; more of it there, and the specimen goes on beyond them or stands on a background."""
_BORDER_QUANTILE = 0.8
"""Of the angles: fewer that are cut are outliers to the robust fit."""


@dataclass(frozen=True)
class CentreEstimate:
    """Where the rotation axis stands on the detector.

    Attributes:
        value_px: edge coordinates.
        sigma_px: one standard deviation, from the scatter of the data.
        method: how it was found.
        reason: why so.
        truncated: the specimen goes on beyond the borders, or stands on a background.
    """

    value_px: float
    sigma_px: float
    method: str
    reason: str = ""
    truncated: bool = False


def find_centre_px(projections: NDArray[np.float32], angles_deg: ArrayLike) -> CentreEstimate:
    """The sinusoid of the centre of mass; the double wedge for a specimen that reaches the borders.

    The sinusoid is fitted with bisquare weights, robust against single bad projections.

    Args:
        projections: (angle, y, u), or (element, angle, y, u): elements are added up, each scaled to the same mass. NaN
            where not measured.
        angles_deg: one per projection.

    Raises:
        ValueError: fewer than 4 projections with any mass, or their angles are almost the same.
    """
    if projections.ndim not in (3, 4):
        raise ValueError(f"projections have shape {projections.shape}: pass (angle, y, x) or (element, angle, y, x)")
    stacks = projections.reshape(-1, *projections.shape[-3:])
    angles_in_deg = checked_angles(angles_deg, stacks.shape[1])
    profiles = np.sum([_profiles(stack) for stack in stacks], axis=0)
    at_borders = share_at_borders(profiles)
    share = f"the borders hold {at_borders:.0%} of the mean profile"
    if at_borders <= MOST_AT_BORDERS:
        value_px, sigma_px = _mass_axis(profiles, np.deg2rad(angles_in_deg))
        return CentreEstimate(value_px, sigma_px, _BY_MASS, f"the specimen is in view: {share}")
    seen = np.isfinite(profiles).all(axis=1)
    if covers_half_a_turn(angles_in_deg[seen]):
        value_px, sigma_px = wedge_centre(_of_equal_mass(stacks[:, seen]), angles_in_deg[seen])
        reason = f"the specimen is not wholly in view: {share}"
        return CentreEstimate(value_px, sigma_px, "double wedge of the sinogram", reason, True)
    value_px, sigma_px = _mass_axis(profiles, np.deg2rad(angles_in_deg))
    reason = (
        f"the specimen is not wholly in view: {share}; and the angles do not cover half a turn evenly, as the double "
        "wedge needs: this axis is biased towards the middle, better give it"
    )
    return CentreEstimate(value_px, sigma_px, _BY_MASS, reason, True)


def _mass_axis(profiles: Array, angles: Array) -> tuple[float, float]:
    """(edge coordinate, one standard deviation) from (angle, u) sums over y."""
    centres = _mass_centres(above_background(profiles))
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
    return _robust_intercept(design, centres[seen])


def above_background(profiles: Array) -> Array:
    """Less the line between what the two borders show while the specimen is away from them.

    Evenly spread, a background pulls towards the middle. Each border is read at the third of the angles that have least
    beside it: at the others the specimen's own tail may reach it, which is no background. What is read is not what
    chooses, so that noise chooses nothing.
    """
    seen = np.isfinite(profiles).all(axis=1)
    if not seen.any():
        return profiles
    left, right = (side.mean(axis=1) for side in _borders(profiles[seen]))
    levels = list[float]()
    for border, turned in ((left, profiles[seen]), (right, profiles[seen, ::-1])):
        width = turned.shape[1]
        edge = min(_border_width(width), width - 1)
        beside = turned[:, edge : edge + max(1, round(_BESIDE * width))].mean(axis=1)
        least = np.argsort(beside, kind="stable")[: -(-len(beside) // 3)]
        levels.append(float(np.median(border[least])))
    above: Array = profiles - np.linspace(levels[0], levels[1], profiles.shape[1])
    return above


def _border_width(width: int) -> int:
    return min(max(_LEAST_BORDER_PX, round(_BORDER * width)), width)


def _borders(profiles: Array) -> tuple[Array, Array]:
    edge = _border_width(profiles.shape[1])
    return profiles[:, :edge], profiles[:, -edge:]


def share_at_borders(profiles: Array) -> float:
    """How much there is in the outermost pixels of either side, over the mean; at four of five angles less than this.

    Args:
        profiles: (angle, pixel) sums; angles with NaN are left out.
    """
    mean = profiles.mean(axis=1)
    usable = np.isfinite(mean) & (mean > 0)
    if not usable.any():
        return 0.0
    left, right = (side.mean(axis=1) for side in _borders(profiles[usable]))
    sides = np.maximum(left, right)
    return float(np.quantile(sides / mean[usable], _BORDER_QUANTILE))


def _of_equal_mass(stacks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(angle, y, u): the elements' projections, each scaled to the same mass, added up and without gaps."""
    filled = [fill_missing(stack).values for stack in stacks]
    total: NDArray[np.float32] = np.sum(
        [stack / np.float32(_usual_mass(stack.sum(axis=1))) for stack in filled], axis=0
    )
    return total


def _profiles(stack: NDArray[np.float32]) -> Array:
    """(angle, u) sums over y, of unit mass in the median; angles without any measured pixel are NaN."""
    measured = np.isfinite(stack).any(axis=(1, 2))
    profiles = np.full((len(stack), stack.shape[-1]), np.nan)
    if measured.any():
        profiles[measured] = fill_missing(stack[measured]).values.sum(axis=1, dtype=np.float64)
        profiles /= _usual_mass(profiles)
    return profiles


def _usual_mass(profiles: NDArray[np.floating]) -> float:
    """Of (angle, u) sums over y."""
    return max(abs(float(np.nanmedian(profiles.sum(axis=1, dtype=np.float64)))), float(np.finfo(np.float32).tiny))


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
