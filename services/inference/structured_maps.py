"""A structured-illumination run from ``/raw`` to element maps in ``/processed``: the edge around the pure recipe."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.patterns.figures import PatternFigures, pattern_figures
from models.singlepixel.reconstruct import SinglePixelResult, reconstruct
from services.catalog.client import Catalog
from services.catalog.provenance import software_versions
from services.catalog.records import MalformedRunError
from services.catalog.runs import FinishedRun
from services.catalog.single_pixel import MAPS, SIGMA, ProductArray, SinglePixelPlace, write_arrays
from services.catalog.stacks import UNITS
from services.catalog.structured_runs import RawStructured, read_raw_structured
from services.inference.stopwatch import Stopwatch
from services.inference.structured_recipe import (
    Progress,
    RecordedPatterns,
    known_phases,
    measurement,
    recorded_patterns,
)

log = logging.getLogger(__name__)

METHOD = "auto"


def map_structured_run(
    catalog: Catalog, run: FinishedRun, place: SinglePixelPlace, device: str, progress: Progress
) -> dict[str, Any]:
    """Make maps of a run and store them; doing it again writes the same.

    Returns:
        What is known of them, for their metadata.

    Raises:
        MalformedRunError: the run never gives maps; the message says why.
        CatalogError: the catalogue failed.
    """
    watch = Stopwatch()
    progress("reading", 0.0)
    raw = read_raw_structured(catalog, run)
    phases = known_phases(raw.start)
    watch.lap("read")
    recorded = recorded_patterns(raw, progress)
    watch.lap("register")
    measured = measurement(raw, recorded)
    watch.lap("fit")
    try:
        result = reconstruct(measured, METHOD, seed=0, device=device, progress=progress, phases=phases)
    except ValueError as error:
        raise MalformedRunError(f"run {run.run_uid} gives no maps: {error}") from error
    watch.lap("reconstruct")
    figures = pattern_figures(measured.patterns, relative_noise=_relative_noise(measured))
    watch.lap("judge patterns")
    write_arrays(place, list(_products(recorded, measured, result)))
    watch.lap("write")
    for note in result.notes:
        log.info("run %s: %s", run.run_uid, note)
    return _about(run, raw, recorded, result, figures) | {"seconds": watch.seconds, "completed_at": time.time()}


def _relative_noise(measured: PatternMeasurement) -> float:
    """Of a measurement of the element that is seen best."""
    variance, counts = measured.table_variance().mean(axis=0), measured.table().mean(axis=0)
    return float(np.min(np.sqrt(variance) / np.maximum(np.abs(counts), np.finfo(float).tiny)))


def _about(
    run: FinishedRun,
    raw: RawStructured,
    recorded: RecordedPatterns,
    result: SinglePixelResult,
    figures: PatternFigures,
) -> dict[str, Any]:
    found = np.isfinite(recorded.shifts_px).all(axis=1)
    moved = np.hypot(*recorded.shifts_px[found].T) if found.any() else np.zeros(1)
    return {
        **_plain(result.told()),
        "patterns": _plain(asdict(figures)),
        "registration": {
            "n_registered": int(found.sum()),
            "rms_px": float(np.sqrt(np.mean(moved**2))),
            "largest_px": float(moved.max()),
        },
        "frame_noise": recorded.relative_noise,
        "dose_convention": str(run.start.get("dose_convention", "")),
        "photons_per_pattern": raw.start.photons_per_pattern,
        "identity": sha256(f"{run.run_uid}\n{METHOD}".encode()).hexdigest()[:16],
        "software": software_versions(),
    }


def _products(
    recorded: RecordedPatterns, measured: PatternMeasurement, result: SinglePixelResult
) -> Iterator[ProductArray]:
    """Maps first, for somebody waits for them; then what they were made of."""
    for group, planes in ((MAPS, result.maps), (SIGMA, result.sigma), ("phases", result.phase_maps or {})):
        for name, plane in planes.items():
            yield ProductArray(group, name, _float32(plane), ("y", "x"), UNITS)
    yield ProductArray("", "txm", _float32(recorded.txm), ("y", "x"), "optical depth")
    yield ProductArray("patterns", "shifts_px", _float32(recorded.shifts_px), ("pattern", "yx"), "px")
    yield ProductArray("patterns", "mean", _float32(measured.patterns.mean(axis=0)), ("y", "x"), "of the flat field")
    for element, counts in measured.counts.items():
        yield ProductArray("field", element, _float32(counts), ("pattern",), f"{UNITS}, summed over pixels")


def _float32(values: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _plain(value: Any) -> Any:
    """Of numbers, words and lists as JSON knows them; a figure that is no number is none."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not isfinite(value) else value
