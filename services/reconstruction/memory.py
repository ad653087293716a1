"""What a job takes at the height of it, known before anything is read."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.catalog.records import SeriesRecord
from services.offline.memory import available_bytes, in_words
from services.offline.volume_memory import needed_bytes
from services.reconstruction.schemas import ReconstructionRequest

_FLOAT_BYTES = 4
_HALVES_BYTES = 64
"""Per voxel: two halves, their masked copies and transforms in double precision, the mask, the shells."""


class TooLargeError(ValueError):
    """A job was not begun, for it would not fit into memory."""


def job_bytes(request: ReconstructionRequest, series: SeriesRecord, parameters: Mapping[str, Any]) -> int:
    """Memory for all the stacks and volumes of a job, and for the arithmetic of one element.

    Args:
        request: the job.
        series: it reconstructs.
        parameters: of the algorithm, defaults filled in.
    """
    scale = series.scale if request.source == "enhanced" else 1
    rows, width = (side * scale for side in series.shape)
    n_angles = request.angles.reproject_to if request.angles else series.n_angles
    n_elements = len(request.elements or series.elements)
    fitted = _FLOAT_BYTES * series.n_angles * series.shape[0] * series.shape[1]
    stack, voxels = _FLOAT_BYTES * n_angles * rows * width, rows * width**2
    # Angles that were not told beforehand take no more room than others.
    angles = np.linspace(0.0, 180.0, n_angles, endpoint=False)
    is_aligned = request.align == "jitter"
    working = needed_bytes(request.algorithm, parameters, (n_angles, rows, width), angles, is_aligned)
    halves = _HALVES_BYTES * voxels if request.fsc else 0
    return n_elements * (stack + 2 * fitted + _FLOAT_BYTES * voxels) + max(working, halves)


def check_fits(needed: int, limit_bytes: float | None, is_compared: bool) -> None:
    """Refuse a job that takes more than is allowed, or than the machine has left.

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
