"""Iterative reconstruction: what is asked for, what comes back, and the loop that every engine runs.

With y the data, A the chords, b a subset of the angles, S = sum of a_ij over b, all pixels j at once:

| method | update per subset |
|---|---|
| `osem`, `mlem` | x <- x A^T(y / A x) / S; `mlem` has one subset |
| `ospml_hybrid`, `ospml_quad` | x <- the positive root of 2 F x^2 + G x + E, with E = -x A^T(y / A x), |
| | F = 2 beta sum_q w_q g_q, G = S - 2 beta sum_q w_q g_q (x_j + x_q), over the 8 neighbours q in the slice; |
| | g = 1 / (1 + |x_j - x_q| / delta), or 1 for `quad`; w is 1 beside, 1 / sqrt 2 across, scaled to add up to 1 |
| `sirt` | x <- x + A^T((y - A x) / sum of a_ij^2 along the ray) / S; one subset |

Source: Hudson and Larkin, IEEE Trans. Med. Imaging 13 (1994) 601 (subsets); De Pierro, IEEE Trans. Med. Imaging 14
(1995) 132 (the surrogate whose minimum is the root); Chang et al., IEEE Trans. Med. Imaging 23 (2004) 1165 (the hybrid
penalty); Gursoy et al., J. Synchrotron Rad. 21 (2014) 1188 (TomoPy, whose weights and cuts into subsets these are).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from models.tomo.geometry import Array, turning_order
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.tomo.system import Geometry, Values, padded_slices, volume_of

Method = Literal["ospml_hybrid", "ospml_quad", "osem", "mlem", "sirt"]
Order = Literal["interleaved", "sequential"]
START = np.float32(1e-6)
"""TomoPy's start image, in the data's unit per pixel."""
_PENALISED = ("ospml_hybrid", "ospml_quad")
_OF_ALL_ANGLES = ("mlem", "sirt")


@dataclass(frozen=True)
class Regularisation:
    """How much neighbours are drawn together; TomoPy's ``reg_par = [beta, delta]``.

    It acts on the data as they are given: data k times larger need beta / k and delta * k for the same image times k.
    It acts once per subset, so its strength grows with their number.

    Attributes:
        beta: strength, per unit of data per pixel. 0: none.
        delta: differences far below it are smoothed as by a square, those far above as by their absolute value; in the
            unit of the data per pixel. `ospml_quad` takes no notice of it.
    """

    beta: float
    delta: float

    def __post_init__(self) -> None:
        if not (isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f"beta is {self.beta}: pass a finite number, 0 for no regularisation")
        if not (isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"delta is {self.delta}: pass a positive difference of voxels")


@dataclass(frozen=True)
class LikelihoodSettings:
    """What is to be done.

    Attributes:
        method: see the module.
        n_iterations: passes over all angles.
        n_subsets: into which the angles are divided; 1 for `mlem` and `sirt`.
        regularisation: for `ospml_hybrid` and `ospml_quad`; None for the others.
        order: `interleaved`: every n-th angle is one subset, counted as `models.tomo.geometry.turning_order` says.
            `sequential`: the angles as they came, cut into runs, one per subset, the first ones an angle longer where
            it does not come out even; TomoPy's default, slower to converge. Or indices to be cut instead.
        tolerance: stop when an iteration moves the image by less, norm of the change over norm of the image. 0: never.
    """

    method: Method
    n_iterations: int
    n_subsets: int = 1
    regularisation: Regularisation | None = None
    order: Order | tuple[int, ...] = "interleaved"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"method is {self.method!r}: choose one of {', '.join(get_args(Method))}")
        if self.n_iterations < 1 or self.n_subsets < 1:
            raise ValueError(f"{self.n_iterations} iterations of {self.n_subsets} subsets: each is at least 1")
        if isinstance(self.order, str) and self.order not in get_args(Order):
            raise ValueError(f"order is {self.order!r}: choose one of {', '.join(get_args(Order))}, or indices")
        if self.method in _OF_ALL_ANGLES and self.n_subsets != 1:
            raise ValueError(f"{self.method} takes all angles at once, not {self.n_subsets} subsets: pass 1")
        if (self.method in _PENALISED) != (self.regularisation is not None):
            raise ValueError(f"{self.method} with regularisation {self.regularisation}: only ospml takes one, and must")
        if not (isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance is {self.tolerance}: pass a fraction, 0 to run all iterations")

    @property
    def beta(self) -> float:
        """Strength of the penalty; 0 where there is none."""
        return self.regularisation.beta if self.regularisation else 0.0

    @property
    def inverse_delta(self) -> float:
        """0 makes the hybrid penalty the quadratic one."""
        return 1 / self.regularisation.delta if self.regularisation and self.method == "ospml_hybrid" else 0.0

    def subsets(self, angles_deg: Array) -> tuple[NDArray[np.int64], ...]:
        """Indices of the angles of each subset, in the order of their use.

        Raises:
            ValueError: more subsets than angles, or ``order`` does not hold every angle once.
        """
        n_angles = len(angles_deg)
        if self.n_subsets > n_angles:
            raise ValueError(f"{self.n_subsets} subsets of {n_angles} angles: use at most one subset per angle")
        if self.order == "interleaved":
            in_turn = turning_order(angles_deg)
            return tuple(in_turn[first :: self.n_subsets] for first in range(self.n_subsets))
        order = np.arange(n_angles) if self.order == "sequential" else np.asarray(self.order, np.int64)
        if not np.array_equal(np.sort(order), np.arange(n_angles)):
            raise ValueError(f"order has {len(order)} entries for {n_angles} angles: name each index once")
        return tuple(np.array_split(order, self.n_subsets))


@dataclass(frozen=True)
class History:
    """One entry per iteration; each from what the data looked like to the image just before a subset moved it.

    Attributes:
        objective: what the method maximises. Poisson log-likelihood sum(y ln Ax - Ax) less beta * sum of w phi over
            ordered pairs of neighbours (with the inner pixels' weights everywhere, and the image before the iteration),
            phi = delta^2 (r / delta - ln(1 + r / delta)) or r^2 / 2; for `sirt` minus half the weighted squares. With
            one subset it never falls; with more it settles into a small cycle.
        misfit: ||A x - y|| / ||y|| over the measured rays.
        change: norm of the image's change over norm of the image; empty without a tolerance.
    """

    objective: tuple[float, ...]
    misfit: tuple[float, ...]
    change: tuple[float, ...]


@dataclass(frozen=True)
class LikelihoodResult:
    """A volume and how it came about.

    Attributes:
        volume: (z, y, x), or (element, z, y, x), in the unit of the data per pixel.
        settings: as asked for; ``len(history.misfit)`` tells how many iterations it took.
        history: by iteration.
        engine: that did it.
    """

    volume: Values = field(repr=False)
    settings: LikelihoodSettings
    history: History
    engine: str


@dataclass(frozen=True)
class Problem:
    """One reconstruction, laid out as engines want it.

    Attributes:
        sinograms: per subset, (angle * u, slice), NaN where not measured, not negative but for `sirt`.
        geometries: per subset.
        settings: what is to be done.
        has_gaps: something was not measured.
    """

    sinograms: tuple[Values, ...] = field(repr=False)
    geometries: tuple[Geometry, ...]
    settings: LikelihoodSettings
    has_gaps: bool


class Fit(NamedTuple):
    """What a subset's rays say of an image: log-likelihood, and squares of (A x - y)."""

    log_likelihood: float
    squared_misfit: float


class Sweep(Protocol):
    """A reconstruction under way in some engine, which owns the image."""

    def update(self, subset: int) -> Fit:
        """Move the image by one subset; tells the fit before."""

    def penalty(self) -> float:
        """Of the present image: beta * sum of w phi."""

    def change(self) -> float:
        """Relative change of the image since this was last asked, or since the start."""

    def image(self) -> Values:
        """(padded pixel, slice)."""


Begin = Callable[[Problem, Values], Sweep]
"""How an engine takes over a problem and the image to start from, (padded pixel, slice)."""


def maximise(
    engine: str,
    begin: Begin,
    projections: Values,
    geometry: Geometry,
    settings: LikelihoodSettings,
    initial: Values | None = None,
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> LikelihoodResult:
    """Run the iterations of an engine.

    Args:
        engine: name, for the result.
        begin: of the engine.
        projections: (angle, y, u), or (element, angle, y, u). NaN and infinite: not measured, without any weight.
            Negative ones count as zero but for `sirt`.
        geometry: of the projections; its size is that of the result's slices.
        settings: what is to be done.
        initial: (z, y, x), or (element, z, y, x), to start from. It is not written to. None: `START` everywhere.
        progress, cancelled: after every subset.

    Raises:
        ValueError: shapes do not match, or ``initial`` cannot be started from.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    problem = laid_out(projections, geometry, settings)
    sweep = begin(problem, start_image(projections, geometry, settings, initial))
    squared_data = sum(float(np.nansum(np.square(rays, dtype=np.float64))) for rays in problem.sinograms)
    objective, misfit, change = list[float](), list[float](), list[float]()
    n_subsets = len(problem.geometries)
    for iteration in range(settings.n_iterations):
        penalty, fits = sweep.penalty(), list[Fit]()
        for subset in range(n_subsets):
            fits.append(sweep.update(subset))
            done = (iteration * n_subsets + subset + 1) / (settings.n_iterations * n_subsets)
            step_done(done, progress, cancelled)
        objective.append(sum(fit.log_likelihood for fit in fits) - penalty)
        misfit.append(float(np.sqrt(sum(fit.squared_misfit for fit in fits) / squared_data)) if squared_data else 0.0)
        if settings.tolerance:
            change.append(sweep.change())
            if change[-1] < settings.tolerance:
                progress(1.0)
                break
    volume = volume_of(sweep.image(), geometry)
    history = History(tuple(objective), tuple(misfit), tuple(change))
    return LikelihoodResult(_unstacked(volume, projections), settings, history, engine)


def laid_out(projections: Values, geometry: Geometry, settings: LikelihoodSettings) -> Problem:
    """Sinograms by subset, slices of all elements last.

    Raises:
        ValueError: the projections have another shape than the geometry says.
    """
    n_angles = len(geometry.angles_deg)
    expected = (n_angles, geometry.n_detector)
    if projections.ndim not in (3, 4) or not projections.size or projections.shape[-3::2] != expected:
        raise ValueError(
            f"projections have shape {projections.shape}: pass (angle, y, u) or (element, angle, y, u) "
            f"with {n_angles} angles and {geometry.n_detector} detector elements"
        )
    stacks = projections.reshape(-1, *projections.shape[-3:])
    subsets = settings.subsets(geometry.angles_deg)
    sinograms, has_gaps = [], False
    for angles in subsets:
        by_ray = stacks[:, angles].transpose(1, 3, 0, 2).astype(np.float32, order="C")
        rays = by_ray.reshape(len(angles) * geometry.n_detector, -1)
        unmeasured = ~np.isfinite(rays)
        if settings.method != "sirt":
            np.maximum(rays, 0, out=rays)
        if unmeasured.any():
            rays[unmeasured], has_gaps = np.nan, True
        sinograms.append(rays)
    geometries = tuple(
        Geometry(geometry.angles_deg[angles], geometry.centre_px, geometry.n_detector, geometry.size)
        for angles in subsets
    )
    return Problem(tuple(sinograms), geometries, settings, has_gaps)


def start_image(
    projections: Values, geometry: Geometry, settings: LikelihoodSettings, initial: Values | None
) -> Values:
    """(padded pixel, slice) of a copy.

    Raises:
        ValueError: another shape than the result's, or values that the method cannot start from.
    """
    *elements, _, n_slices, _ = projections.shape
    shape = (*elements, geometry.size[0], n_slices, geometry.size[1])
    if initial is None:
        initial = np.full(shape, START)
    if initial.shape != shape:
        raise ValueError(f"initial has shape {initial.shape}: the result has {shape}")
    if not np.isfinite(initial).all() or (settings.method != "sirt" and initial.min() < 0):
        raise ValueError(f"initial has negative values or such that are not finite: {settings.method} cannot use them")
    stacks = initial.reshape(-1, *shape[-3:])
    return padded_slices(np.concatenate(list(stacks), axis=1), geometry)


def _unstacked(volume: Values, projections: Values) -> Values:
    """(z, element * y, x) as the projections have it."""
    if projections.ndim == 3:
        return volume
    return np.ascontiguousarray(np.stack(np.split(volume, len(projections), axis=1)))
