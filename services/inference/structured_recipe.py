"""One structured-illumination run, pure: frames to patterns and image, spectra to what the whole field gives.

All is put into one unit, so that y = A x holds with x in ug/cm^2: A is light in units of the mean flat field, per
monitor count, and y the areal density that the fit of a spectrum gives for the whole field, times the number of pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.physics.txm import measured_optical_depth, relative_light
from models.run_schema import XRF_STREAM
from models.singlepixel.measurement import PatternMeasurement, checked
from models.singlepixel.patterns.registration import LEAST_PX, register_patterns, shifted
from models.structured_schema import DARK_STREAM, FLAT_STREAM, IMAGE_STREAM, PATTERNS_STREAM, StructuredStart
from models.xrf.compounds import mass_shares
from services.catalog.records import MalformedRunError
from services.catalog.structured_runs import RawStructured
from services.inference.recipe import element_fit

Progress = Callable[[str, float], None]
_FRAMES_AT_ONCE = 256
"""So that of the frames with the specimen a small part is held as real numbers."""
_MEDIAN_OF_NORMAL = 0.6745
"""Of the absolute value, in standard deviations."""


@dataclass(frozen=True, eq=False)
class RecordedPatterns:
    """What the camera says of a run.

    Attributes:
        patterns: (pattern, y, x) light while the spectra were counted, as both frames of each tell it; NaN where the
            monitor did not count.
        shifts_px: (pattern, 2) y and x, how far each stood then from where it stood without the specimen.
        txm: (y, x) optical depth of the specimen.
        relative_noise: standard deviation of a frame's noise where the light is the mean of the flat field.
    """

    patterns: NDArray[np.float32]
    shifts_px: NDArray[np.float64]
    txm: NDArray[np.float32]
    relative_noise: float


def recorded_patterns(raw: RawStructured, progress: Progress) -> RecordedPatterns:
    """Bring frames into units of light and find out where the patterns stood under the spectra.

    Raises:
        MalformedRunError: the flat field has no light, or none of its monitor counts is positive.
    """
    flat = _light(raw, FLAT_STREAM)
    flat = flat[np.isfinite(flat).all(axis=(1, 2))]
    image = _light(raw, IMAGE_STREAM)
    image = image[np.isfinite(image).all(axis=(1, 2))]
    if not (len(flat) and len(image)):
        raise MalformedRunError("the monitor counted nothing in the flat field or the image: take the run again")
    mean_light = float(flat.mean(dtype=np.float64))
    try:
        txm = measured_optical_depth(image, flat)
    except ValueError as error:
        raise MalformedRunError(str(error)) from error
    patterns = _light(raw, PATTERNS_STREAM)
    patterns /= mean_light
    noise = _noise(flat) / mean_light
    shifts_px = _correct_in_place(raw, patterns, txm, (mean_light, noise), progress)
    return RecordedPatterns(patterns, shifts_px, txm, noise)


def measurement(raw: RawStructured, recorded: RecordedPatterns) -> PatternMeasurement:
    """Fit every spectrum and put the counts beside the patterns that they were counted under.

    Raises:
        MalformedRunError: the elements cannot be fitted, or nothing usable was measured.
    """
    start = raw.start
    fitted = element_fit(start.elements, start.detector, start.energy_kev).fit(
        raw.spectra,
        live_time_s=raw.live_time_s,
        real_time_s=raw.real_time_s,
        i0=raw.i0[XRF_STREAM][:, None],
        i0_nominal=start.i0_nominal,
        dwell_s=start.dwell_s,
        shape=(start.n_patterns, 1),
        pixel_size_nm=start.pixel_size_nm,
    )
    pixels = prod(start.shape)
    counts = {element: pixels * values[:, 0] for element, values in zip(fitted.elements, fitted.values, strict=True)}
    variances = {
        element: pixels**2 * values[:, 0].astype(np.float64)
        for element, values in zip(fitted.elements, fitted.variance, strict=True)
    }
    try:
        return checked(recorded.patterns, counts, variances, recorded.txm)
    except ValueError as error:
        raise MalformedRunError(str(error)) from error


def known_phases(start: StructuredStart) -> Mapping[str, Mapping[str, float]] | None:
    """Mass of each element per mass of each phase that the specimen is known to consist of; None where it is not.

    Raises:
        MalformedRunError: a phase is no formula, or holds none of the elements.
    """
    if not start.phases:
        return None
    phases = {}
    for phase in start.phases:
        try:
            shares = mass_shares(phase, start.elements)
        except ValueError as error:
            raise MalformedRunError(f"phases: {error}") from error
        if not shares.any():
            raise MalformedRunError(f"phases: {phase} holds none of {', '.join(start.elements)}")
        phases[phase] = dict(zip(start.elements, shares.tolist(), strict=True))
    return phases


def _light(raw: RawStructured, stream: str, part: slice = slice(None)) -> NDArray[np.float32]:
    """Frames of a stream per light of one ``camera_s`` in nominal beam, (frame, y, x); NaN without monitor counts."""
    start = raw.start
    monitored_s = start.dwell_s if stream == XRF_STREAM else start.camera_s
    i0 = raw.i0[stream][part]
    flux = np.where(np.isfinite(i0) & (i0 > 0), i0, np.nan) * start.dwell_s / (monitored_s * start.i0_nominal)
    return relative_light(raw.frames[stream][part], flux, raw.frames[DARK_STREAM])


def _noise(flat: NDArray[np.float32]) -> float:
    """Standard deviation of a pixel of smooth frames, (frame, y, x), by how it departs from its neighbours."""
    across = 2 if flat.shape[2] > flat.shape[1] else 1
    bends = np.diff(flat, n=2, axis=across)
    return float(np.median(np.abs(bends))) / (_MEDIAN_OF_NORMAL * np.sqrt(6)) if bends.size else 0.0


def _correct_in_place(
    raw: RawStructured,
    patterns: NDArray[np.float32],
    txm: NDArray[np.float32],
    light_and_noise: tuple[float, float],
    progress: Progress,
) -> NDArray[np.float64]:
    """Make each pattern that of its spectrum; return how far it had moved, (pattern, 2), NaN where nobody can tell."""
    mean_light, noise = light_and_noise
    shifts_px = np.full((len(patterns), 2), np.nan)
    through = np.exp(-txm).astype(np.float32)
    for first in range(0, len(patterns), _FRAMES_AT_ONCE):
        progress("registering the patterns", first / len(patterns))
        part = slice(first, first + _FRAMES_AT_ONCE)
        seen = _light(raw, XRF_STREAM, part) / (through * mean_light)
        known = np.isfinite(seen).all(axis=(1, 2)) & np.isfinite(patterns[part]).all(axis=(1, 2))
        rows = first + np.flatnonzero(known)
        if rows.size:
            moved = patterns[rows]
            if min(through.shape) >= LEAST_PX:  # else nobody can tell how far they moved
                shifts_px[rows] = register_patterns(seen[known], moved)
                moved = shifted(moved, shifts_px[rows])
            patterns[rows] = _told_by_both(moved, seen[known], through, noise)
    return shifts_px


def _told_by_both(
    moved: NDArray[np.float32], seen: NDArray[np.float32], through: NDArray[np.float32], noise: float
) -> NDArray[np.float32]:
    """Patterns from the registered frame without the specimen and the frame with it, each weighed by what it errs.

    Diffusers on stages of their own do not move as one, so that no shift is all of the truth. By how much more the two
    frames differ than their noise explains is what the registered one errs: photons' noise is known, its variance in
    proportion to the light.
    """
    one_photon = max(noise**2, np.finfo(np.float32).tiny)
    of_moved = one_photon * moved.mean(axis=(1, 2))
    of_seen = one_photon * (seen / through).mean(axis=(1, 2))
    excess = ((seen - moved) ** 2).mean(axis=(1, 2)) - of_moved - of_seen
    weight = 1 / (1 + (of_moved + np.maximum(excess, 0)) / of_seen)
    return np.asarray(seen + weight[:, None, None] * (moved - seen), np.float32)
