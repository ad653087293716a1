"""Edge sharpness: from 10 to 90 % of a step, from an error function fitted to a profile across it."""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from scipy.special import erf, erfinv

Array = NDArray[np.float64]

TEN_TO_NINETY = 2 * sqrt(2) * float(erfinv(0.8))
"""Of an error function, in its sigma: 2.563."""
_LEAST_POINTS = 7
_LEAST_CONTRAST = 4.0
"""Of the step over its standard error: below, noise makes the step."""

_FIRST_SIGMAS = (0.5, 2.0, 6.0)
_LEAST_SIGMA = 0.05
"""In points: narrower, samples cannot tell."""


@dataclass(frozen=True)
class EdgeWidth:
    """A step as it was fitted.

    Attributes:
        width_nm: from 10 to 90 %.
        sigma_nm: one standard deviation of it, from the scatter about the fit.
        position_nm: of the middle of the step, from the start of the profile.
        contrast: height of the step in the values' unit, positive if it rises.
    """

    width_nm: float
    sigma_nm: float
    position_nm: float
    contrast: float

    def __str__(self) -> str:
        return f"{self.width_nm:.3g} +- {self.sigma_nm:.2g} nm (10 to 90 %)"


def edge_width(profile: ArrayLike, step_nm: float) -> EdgeWidth:
    """Fit low + contrast (1 + erf((s - position) / (sqrt(2) sigma))) / 2; the width is 2.563 sigma.

    Args:
        profile: (point,) across one edge, with some of both sides; NaN is left out.
        step_nm: from point to point.

    Raises:
        ValueError: too few points, or no edge: its height or its place is not told from the noise.
    """
    values = np.asarray(profile, dtype=np.float64).ravel()
    if not step_nm > 0:
        raise ValueError(f"step_nm is {step_nm}: pass the positive distance of the profile's points")
    known = np.isfinite(values)
    if np.count_nonzero(known) < _LEAST_POINTS:
        raise ValueError(f"the profile has {np.count_nonzero(known)} values: an edge needs {_LEAST_POINTS}")
    position, value = np.flatnonzero(known).astype(np.float64), values[known]
    span = float(np.ptp(value))
    if not span > 0:
        raise ValueError("the profile is constant: draw it across an edge")
    best = min(
        (_fitted(position, (value - value.mean()) / span, sigma) for sigma in _FIRST_SIGMAS), key=lambda f: f.cost
    )
    contrast, middle, sigma = best.parameters[1:]
    if abs(contrast) < _LEAST_CONTRAST * best.errors[1] or not position[0] < middle < position[-1]:
        raise ValueError(
            f"there is no edge: a step of {contrast * span:.3g} +- {best.errors[1] * span:.2g} was found at point "
            f"{middle:.1f} of {len(values)}. Draw the profile across an edge, or average more lines"
        )
    if best.errors[3] > max(sigma, 1.0):
        raise ValueError(
            f"the edge's width is lost in noise, {sigma:.2g} +- {best.errors[3]:.2g} points (sigma): average more lines"
        )
    scale = TEN_TO_NINETY * step_nm
    return EdgeWidth(sigma * scale, best.errors[3] * scale, middle * step_nm, float(contrast * span))


def line_profile(
    image: NDArray[np.float32], start_px: tuple[float, float], end_px: tuple[float, float], width_px: int = 1
) -> Array:
    """Values along a line in steps of about one pixel, averaged across its width; (point,), NaN beyond the image.

    Args:
        image: (y, x).
        start_px, end_px: (y, x) indices, where 0 is the middle of the first pixel.
        width_px: lines one pixel apart, parallel to the first, that are averaged.

    Raises:
        ValueError: not an image, or the line has no length or width.
    """
    along = np.subtract(end_px, start_px)
    length = float(np.hypot(*along))
    if image.ndim != 2 or not length >= 1 or width_px < 1:
        raise ValueError(
            f"a line of {length:.2g} px and width {width_px} in an array of shape {image.shape} came: "
            "pass an image (y, x), a line of at least 1 px and a width of at least 1"
        )
    points = np.linspace(0.0, 1.0, round(length) + 1)
    across = np.array([-along[1], along[0]]) / length
    offsets = np.arange(width_px) - (width_px - 1) / 2
    places = (
        np.asarray(start_px)[:, None, None] + along[:, None, None] * points + across[:, None, None] * offsets[:, None]
    )
    sampled: Array = map_coordinates(image.astype(np.float64), places, order=1, mode="constant", cval=np.nan)
    profile: Array = sampled.mean(axis=0)
    return profile


class _Fit(NamedTuple):
    """Low, contrast, middle and sigma of a step, in points, their standard errors and half the sum of squares."""

    parameters: Array
    errors: Array
    cost: float


def _fitted(position: Array, value: Array, sigma: float) -> _Fit:
    def residuals(parameters: Array) -> Array:
        low, contrast, middle, width = parameters
        step: Array = low + contrast / 2 * (1 + erf((position - middle) / (sqrt(2) * width))) - value
        return step

    third = max(len(value) // 3, 1)
    rise = float(value[-third:].mean() - value[:third].mean())
    middle = position[0] + (position[-1] - position[0]) * 0.5
    if rise:
        # A step divides the line as its mean divides its height.
        middle = position[-1] - (position[-1] - position[0]) * float(
            np.clip((value.mean() - value[0]) / rise, 0.1, 0.9)
        )
    length = float(np.ptp(position))
    first = (float(value[:third].mean()), rise or 0.1, middle, sigma)
    bounds = ([-10.0, -10.0, position[0] - length, _LEAST_SIGMA], [10.0, 10.0, position[-1] + length, 2 * length])
    found = least_squares(residuals, first, bounds=bounds)
    variance = 2 * found.cost / max(len(value) - len(first), 1)
    errors = np.sqrt(np.clip(np.diag(np.linalg.pinv(found.jac.T @ found.jac)), 0.0, None) * variance)
    return _Fit(found.x, errors, float(found.cost))
