"""The reconstruction engines by name, and what every one of them can be asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Interval
from numpy.typing import ArrayLike, NDArray

from models.tomo.fbp import RampFilter, Window, filtered_back_projection
from models.tomo.geometry import checked_angles, checked_centre, checked_stack
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.missing import fill_missing
from models.tomo.projector import project

Stack = NDArray[np.float32]

G_CM3_PER_UG_CM2_NM = 10.0
"""1 ug/cm^2 over 1 nm is 10 g/cm^3."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do with imperfect data.

    Attributes:
        iterative: its result depends on a number of iterations.
        fills_missing_pixels: NaN pixels of a projection are replaced from their neighbours.
        keeps_negative_values: negative projections are taken as they are, so that noise does not bias the volume.
    """

    iterative: bool
    fills_missing_pixels: bool
    keeps_negative_values: bool


class Engine(Protocol):
    """Anything that turns projections into a volume."""

    @property
    def name(self) -> str:
        """As in ``ENGINES``."""

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
            ...: every other keyword-only argument is a parameter of the engine, with its type, range and default.

        Returns:
            (z, y, x) centred on the rotation axis, as many z and x as the detector has pixels.

        Raises:
            ValueError: shapes, angles, centre or a parameter are wrong.
            ReconstructionCancelledError: ``cancelled`` said so.
        """


@dataclass(frozen=True)
class Fbp:
    """Filtered back-projection."""

    device: str = "cpu"
    name: str = "fbp"
    description: str = "Filtered back-projection: linear, fast and unbiased; streaks where angles are few."
    capabilities: Capabilities = Capabilities(iterative=False, fills_missing_pixels=True, keeps_negative_values=True)

    def project(self, volume: Stack, angles_deg: ArrayLike, centre_px: float, n_detector: int) -> Stack:
        """See `Engine.project`."""
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
    ) -> Stack:
        """See `Engine.reconstruct`; ``window`` and ``cutoff`` as in `models.tomo.fbp.RampFilter`."""
        ramp = RampFilter(window, cutoff)
        stack = checked_stack(projections, "angle, y, x")
        angles = checked_angles(angles_deg, len(stack))
        centre = checked_centre(centre_px, stack.shape[-1])
        if pixel_size_nm is not None and not pixel_size_nm > 0:
            raise ValueError(f"pixel_size_nm is {pixel_size_nm}: pass a positive length, or None for ug/cm^2 per pixel")
        volume = filtered_back_projection(
            fill_missing(stack).values, angles, centre, ramp, self.device, progress, cancelled
        )
        if pixel_size_nm is not None:
            volume *= np.float32(G_CM3_PER_UG_CM2_NM / pixel_size_nm)
        return volume


ENGINES: dict[str, Engine] = {"fbp": Fbp()}
