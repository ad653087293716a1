"""What a structured-illumination run measured: the camera's frames, the monitor, a spectrum under each pattern."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.run_schema import I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA, XRF_STREAM
from models.structured_schema import (
    DARK_STREAM,
    FLAT_STREAM,
    IMAGE_STREAM,
    PATTERNS_STREAM,
    TXM_FRAMES,
    StructuredStart,
)
from services.catalog.client import Catalog, catalog_errors
from services.catalog.measured_arrays import MeasuredArray, check_arrays, read_array, stream_arrays
from services.catalog.records import MalformedRunError
from services.catalog.runs import FinishedRun

_STREAMS = (XRF_STREAM, PATTERNS_STREAM, IMAGE_STREAM, FLAT_STREAM, DARK_STREAM)
_OF_SPECTRA = (SPECTRA, LIVE_TIME_S, REAL_TIME_S)


@dataclass(frozen=True, eq=False)
class RawStructured:
    """One structured-illumination run.

    Attributes:
        start: of its document.
        frames: by stream, (frame, y, x) counts.
        i0: by stream, (frame,) monitor counts.
        spectra: (pattern, 1, detector, channel).
        live_time_s: (pattern, 1, detector).
        real_time_s: likewise.
    """

    start: StructuredStart
    frames: Mapping[str, NDArray[np.uint16]]
    i0: Mapping[str, NDArray[np.float64]]
    spectra: NDArray[np.uint32]
    live_time_s: NDArray[np.float32]
    real_time_s: NDArray[np.float32]


def structured_start(run: FinishedRun) -> StructuredStart:
    """What a run's start document says.

    Raises:
        MalformedRunError: it lacks something or contradicts itself; the message names it.
    """
    try:
        return StructuredStart.from_metadata(run.start)
    except ValueError as error:
        raise MalformedRunError(f"run {run.run_uid}: {error}") from error


def read_raw_structured(catalog: Catalog, run: FinishedRun) -> RawStructured:
    """Read everything of a finished structured-illumination run.

    Raises:
        MalformedRunError: it lacks something, or contradicts itself; the message names it.
    """
    start = structured_start(run)
    with catalog_errors(f"reading run {run.run_uid}"):
        announced = {stream: _announced(catalog, run.run_uid, start, stream) for stream in _STREAMS}
        xrf = announced[XRF_STREAM]
        spectra, live_time_s, real_time_s = (read_array(catalog, run.run_uid, xrf[key]) for key in _OF_SPECTRA)
        frames = {stream: read_array(catalog, run.run_uid, announced[stream][TXM_FRAMES]) for stream in _STREAMS}
        i0 = {stream: read_array(catalog, run.run_uid, announced[stream][I0]).astype(np.float64) for stream in _STREAMS}
    return RawStructured(start, frames, i0, spectra, live_time_s.astype(np.float32), real_time_s.astype(np.float32))


def _announced(catalog: Catalog, run_uid: str, start: StructuredStart, stream: str) -> Mapping[str, MeasuredArray]:
    """What a stream announces: all that it must, with a row for every pattern where it is about patterns."""
    arrays = stream_arrays(catalog, run_uid, stream)
    needed = (TXM_FRAMES, I0, *_OF_SPECTRA) if stream == XRF_STREAM else (TXM_FRAMES, I0)
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise MalformedRunError(f"run {run_uid} has no {', '.join(missing)} in its stream {stream!r}")
    rows = arrays[TXM_FRAMES].shape[0] if arrays[TXM_FRAMES].shape else 0
    if stream in (PATTERNS_STREAM, XRF_STREAM) and rows != start.n_patterns:
        raise MalformedRunError(
            f"run {run_uid} has {rows} frames in its stream {stream!r} for {start.n_patterns} patterns: "
            "one for each is needed"
        )
    if rows < 1:
        raise MalformedRunError(f"run {run_uid} has no frames in its stream {stream!r}: at least one is needed")
    detectors, channels = start.detector.n_detectors, start.detector.n_channels
    shapes: dict[str, Any] = {
        TXM_FRAMES: (rows, *start.shape),
        I0: (rows,),
        SPECTRA: (rows, 1, detectors, channels),
        LIVE_TIME_S: (rows, 1, detectors),
        REAL_TIME_S: (rows, 1, detectors),
    }
    check_arrays(run_uid, arrays, {key: shapes[key] for key in needed})
    return arrays
