"""What a volume made from projections would look like in the same projections: the judge of every geometry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tomo.geometry import Array

Stack = NDArray[np.float32]


class Reprojector(Protocol):
    """Reconstruct and project again."""

    def __call__(self, projections: Stack, angles_deg: Array, centre_px: float) -> Stack:
        """(angle, y, u), finite, to the same shape; ``centre_px`` in edge coordinates."""


class ReconstructsAndProjects(Protocol):
    """The part of `models.tomo.algorithms.Algorithm` that is needed here."""

    def project(self, volume: Stack, angles_deg: ArrayLike, centre_px: float, n_detector: int) -> Stack:
        """(z, y, x) to (angle, y, u)."""

    @property
    def reconstruct(self) -> Callable[..., Stack]:
        """``reconstruct(projections, angles_deg, centre_px, **parameters)``: (angle, y, u) to (z, y, x)."""


@dataclass(frozen=True)
class ByEngine:
    """Any algorithm as a `Reprojector`.

    Attributes:
        engine: an entry of `models.tomo.algorithms.ALGORITHMS`.
        parameters: for its ``reconstruct``. Two iterations of OSEM with a subset to ten angles tell most for their
            time; fewer subsets leave a large slice unfinished, more iterations fit the noise. FBP serves, with up to
            twice the error at few counts or few angles.
    """

    engine: ReconstructsAndProjects
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, projections: Stack, angles_deg: Array, centre_px: float) -> Stack:
        """See `Reprojector`."""
        volume = self.engine.reconstruct(projections, angles_deg, centre_px, **self.parameters)
        return self.engine.project(volume, angles_deg, centre_px, projections.shape[-1])
