"""What a job takes at the height of it, known before anything is read: no volume is ever held as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from services.catalog.records import SeriesRecord
from services.offline.memory import available_bytes, in_words
from services.offline.volume_memory import needed_bytes
from services.reconstruction.compute import IN_PROCESS
from services.reconstruction.halves import box_of
from services.reconstruction.planes import batch_of
from services.reconstruction.schemas import ReconstructionRequest
from services.reconstruction.slabs import slab_rows

_FLOAT_BYTES = 4
_HALVES_BYTES = 64
"""Per voxel: two halves, their masked copies and transforms in double precision, the mask, the shells."""
_PLANES_BYTES = 64
"""Per point of a batch of maps that are moved: mirrored, and their complex spectra."""
_VIEWS = 6
"""Images of a volume that are kept: middle slices and maxima."""


class TooLargeError(ValueError):
    """A job was not begun, for it would not fit into memory."""


@dataclass(frozen=True)
class JobMemory:
    """What a job takes.

    Attributes:
        service_bytes: by the service: the fitted maps, images of the volumes, halves while they are compared.
        slab_bytes: by each task under way, wherever it is: one here, or one for each thread of a cluster's workers.
    """

    service_bytes: int
    slab_bytes: int

    def here(self, compute: str) -> int:
        """By the service, which does the tasks too unless a cluster does."""
        return self.service_bytes + (self.slab_bytes if compute == IN_PROCESS else 0)

    def words(self, compute: str) -> str:
        """For people."""
        if compute == IN_PROCESS:
            return f"the job takes about {in_words(self.here(compute))} of memory"
        return (
            f"the job takes about {in_words(self.service_bytes)} of memory here and {in_words(self.slab_bytes)} for "
            "each thread of the workers"
        )


def job_memory(request: ReconstructionRequest, series: SeriesRecord, parameters: Mapping[str, Any]) -> JobMemory:
    """Of a job, before it begins.

    Args:
        request: the job.
        series: it reconstructs.
        parameters: of the algorithm, defaults filled in.
    """
    scale = series.scale if request.source == "enhanced" else 1
    rows, width = shape = series.shape[0] * scale, series.shape[1] * scale
    n_angles = request.angles.reproject_to if request.angles else series.n_angles
    is_moved = request.align == "jitter" or request.angles is not None
    thickness = slab_rows(rows, width)
    # Angles that were not told beforehand take no more room than others.
    angles = np.linspace(0.0, 180.0, n_angles, endpoint=False)
    working = needed_bytes(request.algorithm, parameters, (n_angles, thickness, width), angles, False)
    planes = (_PLANES_BYTES if is_moved else 4 * _FLOAT_BYTES) * batch_of(shape) * rows * width
    slab = working + _FLOAT_BYTES * thickness * (n_angles * width + 2 * width**2)
    return JobMemory(_service_bytes(request, series, shape), max(slab, planes))


def _service_bytes(request: ReconstructionRequest, series: SeriesRecord, shape: tuple[int, int]) -> int:
    n_elements, (rows, width) = len(request.elements or series.elements), shape
    fitted = _FLOAT_BYTES * series.n_angles * prod(series.shape)
    # As read, as used, and where the axis or the shifts are found: mirrored and transformed, of one map each.
    kept, placing = 2 * n_elements * fitted, n_elements * fitted + 14 * fitted
    if request.angles:
        again = 2 * _FLOAT_BYTES * request.angles.reproject_to * prod(series.shape)
        kept += n_elements * (2 * fitted + again)
        placing += 4 * _FLOAT_BYTES * series.shape[0] * series.shape[1] ** 2
    views = n_elements * _VIEWS * _FLOAT_BYTES * width * max(rows, width)
    halves = _HALVES_BYTES * prod(box_of(shape).shape) if request.fsc else 0
    return kept + views + max(placing, halves)


def check_fits(needed: int, limit_bytes: float | None, is_compared: bool) -> None:
    """Refuse a job that takes more of this machine than is allowed, or than the machine has left.

    Raises:
        TooLargeError: with both figures and what to do.
    """
    limits = [amount for amount in (limit_bytes, available_bytes()) if amount is not None]
    if not limits or needed <= min(limits):
        return
    less = ", without the comparison of halves (fsc: false)" if is_compared else ""
    raise TooLargeError(
        f"this takes about {in_words(needed)} of memory and {in_words(min(limits))} may be taken: ask for fewer "
        f"elements at once{less}, or raise reconstruction.memory_gb on a larger machine"
    )
