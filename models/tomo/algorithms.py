"""The algorithms by name, and what every one of them can be asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Gt, Interval
from numpy.typing import ArrayLike, NDArray

from models.tomo.engines import EngineName, choose_engine
from models.tomo.fbp import RampFilter, Window, filtered_back_projection
from models.tomo.geometry import checked_angles, checked_centre, checked_stack
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.level import Whole, typical_voxel
from models.tomo.likelihood import History, LikelihoodSettings, Method, Order, Regularisation
from models.tomo.missing import fill_missing
from models.tomo.projector import project
from models.tomo.system import Geometry

Stack = NDArray[np.float32]

G_CM3_PER_UG_CM2_NM = 10.0
"""1 ug/cm^2 over 1 nm is 10 g/cm^3."""
_ANGLES_PER_SUBSET = 10
"""By default. Fewer converge faster and end in a wider cycle."""
_STRENGTH = {"ospml_hybrid": 10.0, "ospml_quad": 2.0}
_EDGE = 0.1
"""beta * subsets * level and delta / level by default, for the level of `models.tomo.level.typical_voxel`: best on the
simulated cathode with 100 counts in the brightest point (seeds other than those reported in the README)."""


@dataclass(frozen=True)
class Capabilities:
    """What an algorithm can do with imperfect data.

    Attributes:
        iterative: its result depends on a number of iterations.
        fills_missing_pixels: pixels that were not measured are left out, or replaced from their neighbours.
        keeps_negative_values: negative projections are taken as they are, so that noise does not bias the volume.
    """

    iterative: bool
    fills_missing_pixels: bool
    keeps_negative_values: bool


@dataclass(frozen=True)
class Provenance:
    """How a volume came about, beyond the parameters that were passed.

    Attributes:
        engine: that did the arithmetic.
        fallback: why it was not the engine that was tried first; None if it was.
        chosen: what was left open and was chosen from the data, by name.
        history: of the iterations, in the data's unit per pixel; None where there are none.
    """

    engine: str
    fallback: str | None
    chosen: Mapping[str, float]
    history: History | None


Account = Callable[[Provenance], None]
"""Told once, at the end."""


def nobody_asks(_provenance: Provenance) -> None:
    """The account to those who do not want it."""


class Algorithm(Protocol):
    """Anything that turns projections into a volume."""

    @property
    def name(self) -> str:
        """As in ``ALGORITHMS``."""

    @property
    def description(self) -> str:
        """One sentence for people who choose."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with imperfect data."""

    def project(self, volume: Stack, angles_deg: ArrayLike, centre_px: float, n_detector: int) -> Stack:
        """Line integrals of a volume (z, y, x) that is centred on the axis: (angle, y, u), its unit times pixels."""

    @property
    def reconstruct(self) -> Callable[..., Stack]:
        """``reconstruct(projections, angles_deg, centre_px, pixel_size_nm=None, *, progress, cancelled, ...)``.

        Args:
            projections: (angle, y, u) in ug/cm^2.
            angles_deg: one per projection, any order.
            centre_px: rotation axis on the detector in edge coordinates; the middle is width / 2.
            pixel_size_nm: of projections and voxels: the volume is in g/cm^3. None: in ug/cm^2 per pixel.
            progress, cancelled: told the fraction done, and asked whether to stop, between batches.
            account: told at the end how it was done.
            whole: what all rows say, where ``projections`` are some of them; None: they are all.
            ...: every other keyword-only argument is a parameter of the algorithm, with its type, range and default.

        Returns:
            (z, y, x) centred on the rotation axis, as many z and x as the detector has pixels.

        Raises:
            ValueError: shapes, angles, centre or a parameter are wrong.
            ReconstructionCancelledError: ``cancelled`` said so.
        """


def density_factor(pixel_size_nm: float | None) -> np.float32:
    """From ug/cm^2 per pixel to g/cm^3; 1 without a pixel size.

    Raises:
        ValueError: the size is not positive.
    """
    if pixel_size_nm is None:
        return np.float32(1)
    if not pixel_size_nm > 0:
        raise ValueError(f"pixel_size_nm is {pixel_size_nm}: pass a positive length, or None for ug/cm^2 per pixel")
    return np.float32(G_CM3_PER_UG_CM2_NM / pixel_size_nm)


@dataclass(frozen=True)
class Fbp:
    """Filtered back-projection."""

    device: str = "cpu"
    name: str = "fbp"
    description: str = "Filtered back-projection: linear, fast and unbiased; streaks where angles are few."
    capabilities: Capabilities = Capabilities(iterative=False, fills_missing_pixels=True, keeps_negative_values=True)

    def project(self, volume: Stack, angles_deg: ArrayLike, centre_px: float, n_detector: int) -> Stack:
        """See `Algorithm.project`."""
        angles = checked_angles(angles_deg, np.size(angles_deg))
        return project(
            checked_stack(volume, "z, y, x"), angles, checked_centre(centre_px, n_detector), n_detector, self.device
        )

    def reconstruct(
        self,
        projections: Stack,
        angles_deg: ArrayLike,
        centre_px: float,
        pixel_size_nm: float | None = None,
        *,
        window: Window = "ramp",
        cutoff: Annotated[float, Interval(gt=0, le=1)] = 1.0,
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
        account: Account = nobody_asks,
        whole: Whole | None = None,
    ) -> Stack:
        """See `Algorithm.reconstruct`; ``window`` and ``cutoff`` as in `models.tomo.fbp.RampFilter`."""
        ramp = RampFilter(window, cutoff)
        stack = checked_stack(projections, "angle, y, x")
        angles = checked_angles(angles_deg, len(stack))
        centre = checked_centre(centre_px, stack.shape[-1])
        factor = density_factor(pixel_size_nm)
        if whole is not None and not np.isfinite(stack).all():
            raise ValueError(
                "some rows with gaps came: gaps are filled from above and below too, so fill all rows at once before "
                "(models.tomo.missing)"
            )
        volume = filtered_back_projection(
            fill_missing(stack).values, angles, centre, ramp, self.device, progress, cancelled
        )
        volume *= factor
        account(Provenance("torch", None, {}, None))
        return volume


FBP = Fbp()
_NOT_NEGATIVE = Capabilities(iterative=True, fills_missing_pixels=True, keeps_negative_values=False)
_LINEAR = Capabilities(iterative=True, fills_missing_pixels=True, keeps_negative_values=True)


@dataclass(frozen=True)
class Iterative:
    """What the iterative algorithms share; what each can be asked is the signature of its own ``reconstruct``."""

    name: Method
    description: str
    capabilities: Capabilities = _NOT_NEGATIVE

    def project(self, volume: Stack, angles_deg: ArrayLike, centre_px: float, n_detector: int) -> Stack:
        """See `Algorithm.project`."""
        return FBP.project(volume, angles_deg, centre_px, n_detector)


class Ospml(Iterative):
    """Penalised maximum likelihood by ordered subsets."""

    def reconstruct(
        self,
        projections: Stack,
        angles_deg: ArrayLike,
        centre_px: float,
        pixel_size_nm: float | None = None,
        *,
        n_iterations: Annotated[int, Interval(ge=1, le=1000)] = 20,
        n_subsets: Annotated[int, Ge(1)] | None = None,
        order: Order = "interleaved",
        beta: Annotated[float, Ge(0)] | None = None,
        delta: Annotated[float, Gt(0)] | None = None,
        tolerance: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        engine: EngineName = "auto",
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
        account: Account = nobody_asks,
        whole: Whole | None = None,
    ) -> Stack:
        """See `Algorithm.reconstruct`; ``order`` as in `models.tomo.likelihood.LikelihoodSettings`.

        ``beta`` and ``delta`` are TomoPy's ``reg_par`` on the projections as they are given, whatever the unit of the
        volume. None: from the data, so that a change of their unit, or of the number of subsets, changes nothing.
        """
        stack = checked_stack(projections, "angle, y, x")
        n_subsets = n_subsets or _subsets_of(len(stack))
        level = typical_voxel(stack) if whole is None else whole.level
        regularisation = Regularisation(
            _STRENGTH[self.name] / (n_subsets * level) if beta is None else beta,
            _EDGE * level if delta is None else delta,
        )
        settings = LikelihoodSettings(self.name, n_iterations, n_subsets, regularisation, order, tolerance)
        return _maximised(
            stack, angles_deg, centre_px, pixel_size_nm, settings, engine, progress, cancelled, account, whole
        )


class Osem(Iterative):
    """Maximum likelihood by ordered subsets."""

    def reconstruct(
        self,
        projections: Stack,
        angles_deg: ArrayLike,
        centre_px: float,
        pixel_size_nm: float | None = None,
        *,
        n_iterations: Annotated[int, Interval(ge=1, le=1000)] = 5,
        n_subsets: Annotated[int, Ge(1)] | None = None,
        order: Order = "interleaved",
        tolerance: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        engine: EngineName = "auto",
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
        account: Account = nobody_asks,
        whole: Whole | None = None,
    ) -> Stack:
        """See `Algorithm.reconstruct`."""
        stack = checked_stack(projections, "angle, y, x")
        n_subsets = n_subsets or _subsets_of(len(stack))
        settings = LikelihoodSettings(self.name, n_iterations, n_subsets, None, order, tolerance)
        return _maximised(
            stack, angles_deg, centre_px, pixel_size_nm, settings, engine, progress, cancelled, account, whole
        )


class AllAngles(Iterative):
    """The methods that take all angles at once."""

    def reconstruct(
        self,
        projections: Stack,
        angles_deg: ArrayLike,
        centre_px: float,
        pixel_size_nm: float | None = None,
        *,
        n_iterations: Annotated[int, Interval(ge=1, le=10_000)] = 50,
        tolerance: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        engine: EngineName = "auto",
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
        account: Account = nobody_asks,
        whole: Whole | None = None,
    ) -> Stack:
        """See `Algorithm.reconstruct`."""
        stack = checked_stack(projections, "angle, y, x")
        settings = LikelihoodSettings(self.name, n_iterations, tolerance=tolerance)
        return _maximised(
            stack, angles_deg, centre_px, pixel_size_nm, settings, engine, progress, cancelled, account, whole
        )


def _subsets_of(n_angles: int) -> int:
    return max(1, n_angles // _ANGLES_PER_SUBSET)


def _maximised(
    stack: Stack,
    angles_deg: ArrayLike,
    centre_px: float,
    pixel_size_nm: float | None,
    settings: LikelihoodSettings,
    engine: EngineName,
    progress: Progress,
    cancelled: Cancelled,
    account: Account,
    whole: Whole | None,
) -> Stack:
    """Run an engine in the data's own unit, then convert."""
    factor, n_detector = density_factor(pixel_size_nm), stack.shape[-1]
    angles = checked_angles(angles_deg, len(stack))
    empty = np.flatnonzero(~np.isfinite(stack).any(axis=(1, 2)))
    if whole is None and empty.size:
        raise ValueError(f"projection {empty[0]} has no measured pixel: leave this angle out")
    geometry = Geometry(angles, checked_centre(centre_px, n_detector), n_detector, (n_detector, n_detector))
    choice = choose_engine(engine)
    result = choice.engine.reconstruct(stack, geometry, settings, progress=progress, cancelled=cancelled)
    chosen: dict[str, float] = {"n_subsets": settings.n_subsets}
    if settings.regularisation:
        chosen |= {"beta": settings.regularisation.beta, "delta": settings.regularisation.delta}
    account(Provenance(result.engine, choice.fallback, chosen, result.history))
    return result.volume * factor


ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        FBP,
        Ospml(
            "ospml_hybrid", "Penalised likelihood, smooth within and sharp at edges: best for counts and few angles."
        ),
        Ospml("ospml_quad", "Penalised likelihood, smooth everywhere: edges are blurred too."),
        Osem("osem", "Maximum likelihood by ordered subsets: fast; noise grows with the iterations, so stop early."),
        AllAngles("mlem", "Maximum likelihood from all angles at once: slow; the likelihood rises every time."),
        AllAngles("sirt", "Least squares from all angles at once: slow; keeps negative values.", _LINEAR),
    )
}
