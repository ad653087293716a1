"""What a structured-illumination scan takes, flight after flight, from what people ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, prod

import numpy as np
from numpy.typing import NDArray

from models.physics.structured_light import GRITS
from models.physics.txm import FULL_SCALE
from models.run_schema import XRF_STREAM
from models.structured_schema import DARK_STREAM, FLAT_STREAM, IMAGE_STREAM, LARGEST_PATTERNS_BYTES, PATTERNS_STREAM
from plans.devices.pattern_controller import PatternFlight
from plans.devices.structured_beam import ExposureTimes
from plans.devices.txm_beamline import TxmBeamline

SAMPLING_RATIO = 0.05
DWELL_S, CAMERA_S, N_IMAGES = 1.0, 0.1, 16
"""Sixteen images tell the transmission of a pixel to some 0.3 %, a fiftieth of what the specimen takes."""
_BRIGHTEST_SIGMA = 5.0
"""No more than one pixel in a million of all patterns is brighter than this many standard deviations of its log."""


@dataclass(frozen=True)
class Phase:
    """A flight, and how the beam stands for it.

    Attributes:
        grits: of the diffusers in the beam.
    """

    flight: PatternFlight
    shutter_open: bool
    specimen_in: bool
    grits: tuple[str, ...]

    @property
    def exposes_specimen(self) -> bool:
        """Whether it costs dose."""
        return self.shutter_open and self.specimen_in


def flights_of(
    beamline: TxmBeamline,
    n_patterns: int | None,
    sampling_ratio: float | None,
    grits: Sequence[str],
    dwell_s: float,
    camera_s: float | None,
    n_images: int,
    place_seed: int,
) -> list[Phase]:
    """What is to be taken, in order; the spectra come last. The arguments are those of the plan.

    Raises:
        ValueError: an argument makes no sense.
    """
    inserted = _inserted(grits)
    n = _n_patterns(beamline, n_patterns, sampling_ratio)
    short, long = _times(beamline, inserted, dwell_s, camera_s)
    if n_images < 1:
        raise ValueError(f"n_images is {n_images}: pass at least 1")
    places_um = _places_um(beamline, n, place_seed)
    at_rest_um = np.zeros((int(n_images), len(GRITS), 2))

    def frames(kind: str, asked_um: NDArray[np.float64]) -> PatternFlight:
        return PatternFlight(kind, asked_um, short)

    return [
        Phase(frames(DARK_STREAM, at_rest_um), False, False, ()),
        Phase(frames(FLAT_STREAM, at_rest_um), True, False, ()),
        Phase(frames(PATTERNS_STREAM, places_um), True, False, inserted),
        Phase(frames(IMAGE_STREAM, at_rest_um), True, True, ()),
        Phase(PatternFlight(XRF_STREAM, places_um, long, with_spectra=True), True, True, inserted),
    ]


def _inserted(grits: Sequence[str]) -> tuple[str, ...]:
    known = ", ".join(GRITS)
    if isinstance(grits, str) or not len(grits) or len(set(grits)) != len(grits) or not set(grits) <= set(GRITS):
        raise ValueError(f"grits is {grits!r}: pass a list of some of {known}, each at most once")
    return tuple(grit for grit in GRITS if grit in grits)


def _n_patterns(beamline: TxmBeamline, n_patterns: int | None, sampling_ratio: float | None) -> int:
    pixels = prod(beamline.beam.shape)
    if n_patterns is not None and sampling_ratio is not None:
        raise ValueError(f"n_patterns is {n_patterns} and sampling_ratio {sampling_ratio}: pass one of them")
    if n_patterns is None:
        ratio = SAMPLING_RATIO if sampling_ratio is None else sampling_ratio
        if not 0 < ratio < float("inf"):
            raise ValueError(f"sampling_ratio is {ratio}: pass a positive number of patterns per pixel")
        n_patterns = max(1, round(ratio * pixels))
    if n_patterns < 1:
        raise ValueError(f"n_patterns is {n_patterns}: pass at least 1")
    most = LARGEST_PATTERNS_BYTES // (4 * pixels)
    if n_patterns > most:
        raise ValueError(f"n_patterns is {n_patterns}: of {pixels} pixels pass at most {most}")
    return int(n_patterns)


def _times(
    beamline: TxmBeamline, grits: Sequence[str], dwell_s: float, camera_s: float | None
) -> tuple[ExposureTimes, ExposureTimes]:
    """Of a frame alone, and of a frame beside a spectrum."""
    if not 0 < dwell_s < float("inf"):
        raise ValueError(f"dwell_s is {dwell_s}: pass a positive number")
    longest_s = _longest_exposure_s(beamline, grits)
    if camera_s is None:
        camera_s = min(CAMERA_S, dwell_s, longest_s)
    if not 0 < camera_s <= dwell_s:
        raise ValueError(f"camera_s is {camera_s:g}: pass a positive number up to dwell_s of {dwell_s:g}")
    if camera_s > longest_s:
        raise ValueError(
            f"camera_s is {camera_s:g}: the brightest pixels would count more than the camera's {FULL_SCALE}, "
            f"pass at most {longest_s:g}"
        )
    return ExposureTimes(float(camera_s), float(camera_s)), ExposureTimes(float(dwell_s), float(camera_s))


def _longest_exposure_s(beamline: TxmBeamline, grits: Sequence[str]) -> float:
    """In which the brightest pixels do not fill the camera, rounded down to two digits."""
    beam = beamline.beam
    spread = float(np.hypot.reduce([GRITS[grit].contrast for grit in grits]))
    brightest = exp(_BRIGHTEST_SIGMA * spread - spread**2 / 2) * float(beam.light.envelope.max())
    per_s = float(beam.camera.expected_counts(beam.flux_hz / prod(beam.shape) * brightest, 1.0)) - beam.camera.offset
    longest_s = (FULL_SCALE - beam.camera.offset) / per_s
    digit = 10.0 ** (int(np.floor(np.log10(longest_s))) - 1)
    return float(np.floor(longest_s / digit) * digit)


def _places_um(beamline: TxmBeamline, n_patterns: int, place_seed: int) -> NDArray[np.float64]:
    """Anywhere on each diffuser, (pattern, diffuser, y and x)."""
    half = np.array(beamline.travel_um) / 2
    return np.random.default_rng([place_seed, 0x9A7]).uniform(-half, half, (n_patterns, len(GRITS), 2))
