"""What a ptychography run measured: diffraction frames, and where the beam was."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.run_schema import BLIND_PIXELS, DIFFRACTION_STREAM, FRAMES, X_UM, XRF_STREAM, Y_UM, PtychographyStart
from services.catalog.client import Catalog, catalog_errors
from services.catalog.measured_arrays import check_arrays, read_array, stream_arrays
from services.catalog.records import MalformedRunError
from services.catalog.runs import FinishedRun

_CAMERA = "camera"


@dataclass(frozen=True, eq=False)
class RawFrames:
    """One ptychography run.

    Attributes:
        start: of its document.
        counts: (row, x, qy, qx).
        y_um: (row, x) encoders; NaN where nothing was measured.
        x_um: likewise.
        blind: (qy, qx) True where the camera counts nothing.
    """

    start: PtychographyStart
    counts: NDArray[np.uint16]
    y_um: NDArray[np.float64]
    x_um: NDArray[np.float64]
    blind: NDArray[np.bool_]


def read_raw_frames(catalog: Catalog, run: FinishedRun) -> RawFrames:
    """Read everything of a finished ptychography run.

    Raises:
        MalformedRunError: it lacks something, or contradicts itself; the message names it.
    """
    try:
        start = PtychographyStart.from_metadata(run.start)
    except ValueError as error:
        raise MalformedRunError(f"run {run.run_uid}: {error}") from error
    with catalog_errors(f"reading run {run.run_uid}"):
        frames, places = (stream_arrays(catalog, run.run_uid, name) for name in (DIFFRACTION_STREAM, XRF_STREAM))
        for stream, arrays, names in ((DIFFRACTION_STREAM, frames, (FRAMES,)), (XRF_STREAM, places, (Y_UM, X_UM))):
            missing = [name for name in names if name not in arrays]
            if missing:
                raise MalformedRunError(f"run {run.run_uid} has no {', '.join(missing)} in its stream {stream!r}")
        announced = {FRAMES: frames[FRAMES], Y_UM: places[Y_UM], X_UM: places[X_UM]}
        check_arrays(run.run_uid, announced, _needed_shapes(run.run_uid, start, frames[FRAMES].shape))
        counts, y_um, x_um = (read_array(catalog, run.run_uid, array) for array in announced.values())
        configuration = catalog.root["raw", run.run_uid, DIFFRACTION_STREAM].metadata.get("configuration", {})
    blind = _blind_pixels(run.run_uid, start, configuration)
    return RawFrames(start, counts, y_um.astype(np.float64), x_um.astype(np.float64), blind)


def _needed_shapes(run_uid: str, start: PtychographyStart, frames: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    rows, points = start.scan.shape
    measured = frames[0] if frames else 0
    if not 1 <= measured <= rows:
        raise MalformedRunError(f"run {run_uid} has {measured} rows of {FRAMES} where the scan asked for {rows}")
    return {FRAMES: (measured, points, *start.frame_shape), Y_UM: (measured, points), X_UM: (measured, points)}


def _blind_pixels(run_uid: str, start: PtychographyStart, configuration: Any) -> NDArray[np.bool_]:
    """Of the camera's configuration; none where it names none."""
    try:
        told = configuration.get(_CAMERA, {}).get("data", {}).get(BLIND_PIXELS)
        blind = np.zeros(start.frame_shape, np.bool_) if told is None else np.asarray(told, np.bool_)
    except (AttributeError, TypeError, ValueError) as error:
        raise MalformedRunError(f"run {run_uid}: {BLIND_PIXELS} cannot be read: {error}") from error
    if blind.shape != start.frame_shape:
        raise MalformedRunError(f"run {run_uid}: {BLIND_PIXELS} has shape {blind.shape}, a frame {start.frame_shape}")
    return blind
