"""What a ptychography run measured: diffraction frames, and where the beam was."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.run_schema import BLIND_PIXELS, DIFFRACTION_STREAM, FRAMES, X_UM, XRF_STREAM, Y_UM, PtychographyStart
from services.catalog.client import Catalog, catalog_errors
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
        node = catalog.root["raw", run.run_uid]
        counts = _array(node, run.run_uid, DIFFRACTION_STREAM, FRAMES)
        y_um, x_um = (_array(node, run.run_uid, XRF_STREAM, name) for name in (Y_UM, X_UM))
        configuration = node[DIFFRACTION_STREAM].metadata.get("configuration", {})
    blind = configuration.get(_CAMERA, {}).get("data", {}).get(BLIND_PIXELS)
    blind = np.zeros(start.frame_shape, np.bool_) if blind is None else np.asarray(blind, np.bool_)
    raw = RawFrames(start, counts, y_um.astype(np.float64), x_um.astype(np.float64), blind)
    _check(run.run_uid, raw)
    return raw


def _array(node: Any, run_uid: str, stream: str, name: str) -> NDArray[Any]:
    try:
        return np.asarray(node[stream, name].read())
    except KeyError as error:
        raise MalformedRunError(f"run {run_uid} has no {name} in its stream {stream!r}") from error


def _check(run_uid: str, raw: RawFrames) -> None:
    rows, points = raw.start.scan.shape
    measured = raw.counts.shape[0] if raw.counts.ndim else 0
    if raw.counts.shape != (measured, points, *raw.start.frame_shape) or not 1 <= measured <= rows:
        raise MalformedRunError(
            f"run {run_uid}: {FRAMES} has shape {raw.counts.shape} where {(rows, points, *raw.start.frame_shape)} is "
            "needed, or fewer rows"
        )
    for name, places in ((Y_UM, raw.y_um), (X_UM, raw.x_um)):
        if places.shape != (measured, points):
            raise MalformedRunError(
                f"run {run_uid}: {name} has shape {places.shape} where {(measured, points)} is needed"
            )
    if raw.blind.shape != raw.start.frame_shape:
        raise MalformedRunError(
            f"run {run_uid}: {BLIND_PIXELS} has shape {raw.blind.shape}, a frame {raw.start.frame_shape}"
        )
