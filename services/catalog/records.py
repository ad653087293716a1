"""What the rest of subprobe sees of the catalogue: frozen records, never Tiled's own objects."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.run_schema import ProjectionStart
from services.errors import SubprobeError

MapSource = Literal["fitted", "enhanced"]
SeriesState = Literal["measuring", "complete"]


class CatalogError(SubprobeError):
    """The catalogue could not do what was asked."""


class CatalogUnreachableError(CatalogError):
    """The Tiled server does not answer; trying again later may help."""


class NotFoundError(CatalogError):
    """No such run, series, probe or volume."""


class MalformedRunError(CatalogError):
    """A run in /raw is not a projection that subprobe can read; the message says what is missing."""


class WornOutError(CatalogError):
    """Something was begun again and again and never ended; the message says by whom."""


@dataclass(frozen=True)
class RawProjection:
    """Everything a worker needs of one finished projection run, as measured; the encoders stay in the catalogue."""

    run_uid: str
    scan_id: int
    start_time: float
    """Of the run, seconds since the epoch."""
    start: ProjectionStart
    spectra: NDArray[np.uint32]
    """(row, x, detector, channel); fewer rows than asked for when the scan was cut short."""
    live_time_s: NDArray[np.float32]
    real_time_s: NDArray[np.float32]
    i0: NDArray[np.float64]


@dataclass(frozen=True)
class SeriesRecord:
    """One angle series in /processed."""

    key: str
    series_uid: str
    series_name: str
    sample_name: str
    elements: tuple[str, ...]
    angles_deg: tuple[float, ...]
    done_angles: tuple[int, ...]
    """Indices of the angles whose maps are written."""
    state: SeriesState
    step_nm: float
    scale: int
    shape: tuple[int, int]
    """(rows, points) of the coarse maps."""
    metadata: dict[str, Any]

    @property
    def n_angles(self) -> int:
        """Angles asked for."""
        return len(self.angles_deg)

    @property
    def missing_angles(self) -> tuple[int, ...]:
        """Indices of the angles not yet written."""
        return tuple(sorted(set(range(self.n_angles)) - set(self.done_angles)))

    def pixel_size_nm(self, source: MapSource) -> float:
        """Side of a pixel of the fitted (coarse) or enhanced (fine) maps."""
        return self.step_nm if source == "fitted" else self.step_nm / self.scale


@dataclass(frozen=True)
class VolumeRecord:
    """One reconstructed volume in /processed/<series>/volumes/<job id>."""

    series_key: str
    job_id: str
    elements: tuple[str, ...]
    metadata: dict[str, Any]
