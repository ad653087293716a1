"""A ptychography run from the catalogue to a probe in ``/probes``: the edge around the pure recovery."""

import logging
import re
import time

import numpy as np
from numpy.typing import NDArray

from models.ptychography.frames import Frames
from models.ptychography.object_phase import flat_phase
from models.ptychography.quality import summary, told
from models.ptychography.recover import Progress, RecoverySettings, recover
from services.catalog.client import Catalog
from services.catalog.frames import RawFrames, read_raw_frames
from services.catalog.probes import Measurement, import_probe
from services.catalog.records import MalformedRunError
from services.catalog.runs import FinishedRun

_OPTICS_LETTERS = 24

log = logging.getLogger(__name__)


def recover_probe_of(catalog: Catalog, run: FinishedRun, device: str, progress: Progress) -> str:
    """Find the probe of a ptychography run and store it; doing it again changes nothing. Returns its key.

    What cannot be relied on is stored too, with its warnings, for people to see; no worker takes it by itself.

    Raises:
        MalformedRunError: the run never can give a probe; the message says why.
        CatalogError: the catalogue failed.
    """
    began = time.perf_counter()
    raw = read_raw_frames(catalog, run)
    read_s = time.perf_counter() - began
    try:
        frames = measured_frames(raw)
        found = recover(frames, RecoverySettings(device=device), progress)
    except ValueError as error:
        raise MalformedRunError(f"run {run.run_uid} gives no probe: {error}") from error
    key = probe_key(run, raw)
    seconds = {"read": round(read_s, 2), "recover": round(time.perf_counter() - began - read_s, 2)}
    about = {"engine": "constrained", "frames": len(frames.counts), "photons_per_frame": frames.photons()}
    lineage = {"ptychography": {**told(found), **about, "seconds": seconds}}
    measured = Measurement(
        run.run_uid, run.start_time, raw.start.optics, found.warnings, flat_phase(found.obj, frames).astype(np.float32)
    )
    import_probe(catalog, found.probe, key, lineage, measured)
    log.info(
        "run %s: probe %s (%s) in %.1f s: %s", run.run_uid, key, raw.start.optics, sum(seconds.values()), summary(found)
    )
    for warning in found.warnings:
        log.warning("probe %s is not to be relied on: %s", key, warning)
    return key


def probe_key(run: FinishedRun, raw: RawFrames) -> str:
    """Readable, and one for each run: scan number, optics, and the run's first letters."""
    optics = re.sub(r"[^A-Za-z0-9]+", "-", raw.start.optics)[:_OPTICS_LETTERS].strip("-").lower()
    return f"{run.scan_id}-{optics}-{run.run_uid[:8]}"


def measured_frames(raw: RawFrames) -> Frames:
    """Frames of the points that were measured.

    Raises:
        ValueError: too few, or they cannot be used.
    """
    start = raw.start
    positions = _positions_px(raw)
    measured = np.isfinite(positions).all(1)
    counts = raw.counts.reshape(-1, *start.frame_shape)
    travel_px = start.scan.step_nm / start.object_pixel_nm if start.scan.motion == "fly" else 0.0
    return Frames(
        counts=counts[measured].astype(np.float32),
        positions_px=positions[measured],
        fly_px=(0.0, travel_px),
        pixel_size_nm=start.object_pixel_nm,
        energy_kev=start.energy_kev,
        mask=~raw.blind if raw.blind.any() else None,
    )


def _positions_px(raw: RawFrames) -> NDArray[np.float64]:
    """(point, 2) y and x of the beam on the specimen, by the encoders."""
    return np.stack([raw.y_um.ravel(), raw.x_um.ravel()], 1) * 1e3 / raw.start.object_pixel_nm
