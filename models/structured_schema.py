"""Names and start document of a structured-illumination run: the contract between who writes it and who reads it.

One Bluesky run is one specimen under N patterns. Every stream holds, frame by frame, what the transmission camera
counted (``TXM_FRAMES``) and what the monitor did (`models.run_schema.I0`, one number a frame):

- ``dark``: shutter closed; ``flat``: neither diffusers nor specimen; ``image``: the specimen without diffusers;
- ``patterns``: each pattern without the specimen;
- ``xrf``: each pattern with the specimen, and its spectrum in one point (pattern, 1, detector, channel).

In ``xrf`` the monitor counts for ``dwell_s``, elsewhere for ``camera_s``, in which the camera is exposed everywhere.
Stages do not come back to where they were to the pixel: a pattern of ``xrf`` is that of ``patterns`` somewhat moved.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import isfinite
from typing import Any

from models.run_schema import XrfDetector, detector_from_metadata
from models.start_documents import check_energy, check_names, check_present, names_in, pair, short, told

STRUCTURED_SPEC = "StructuredIllumination"
STRUCTURED_PURPOSE = "structured"

DARK_STREAM, FLAT_STREAM, IMAGE_STREAM, PATTERNS_STREAM = "dark", "flat", "image", "patterns"
TXM_FRAMES = "txm_frames"  # counts, uint16 (frame, y, x) in every stream
DIFFUSER_Y_UM = "diffuser_y_um"  # where each diffuser was asked to, float64 (pattern, diffuser)
DIFFUSER_X_UM = "diffuser_x_um"

EQUAL_FLUX = (
    "equal incident flux: each pattern gets the same photons before the diffusers, whatever the pattern lets by"
)
"""The convention of dose; what single patterns differ by is in the frames, what the beam does is in the monitor."""

LARGEST_PATTERNS_BYTES = 4 * 2**30  # of all patterns as float32: 16 384 of 256 x 256 pixels
_POSITIVE = ("pixel_size_nm", "dwell_s", "camera_s", "i0_nominal", "photons_per_pattern")


@dataclass(frozen=True)
class StructuredStart:
    """What the start document of a structured-illumination run says."""

    sample_name: str
    energy_kev: float
    elements: tuple[str, ...]
    shape: tuple[int, int]
    """(y, x) pixels of the field of view, as the camera sees it."""
    pixel_size_nm: float
    n_patterns: int
    dwell_s: float
    """In which a spectrum is counted."""
    camera_s: float
    """In which a frame is exposed."""
    i0_nominal: float
    """Monitor counts in one ``dwell_s`` of full beam, that everything is normalised to."""
    photons_per_pattern: float
    """On the field of view in one ``dwell_s`` of full beam, were there no diffusers."""
    detector: XrfDetector
    grits: tuple[str, ...]
    """Names of the diffusers in the beam."""
    theta_deg: float = 0.0
    phases: tuple[str, ...] = ()
    """Formulas of what the specimen is known to be made of, where that is known."""

    @property
    def sampling_ratio(self) -> float:
        """Patterns per pixel."""
        return self.n_patterns / (self.shape[0] * self.shape[1])

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON-able start-document keys."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "detector"}
        lists = {name: list(value) for name, value in own.items() if isinstance(value, tuple)}
        return (own | lists) | {
            "purpose": STRUCTURED_PURPOSE,
            "xrf_detector": asdict(self.detector),
            "sampling_ratio": self.sampling_ratio,
            "dose_convention": EQUAL_FLUX,
            "sample": {"name": self.sample_name},
        }

    @classmethod
    def from_metadata(cls, start: Mapping[str, Any]) -> "StructuredStart":
        """Read a start document back.

        Raises:
            ValueError: a key is missing or has the wrong form; the message names it.
        """
        check_present(start, _NEEDED, "structured-illumination")
        if start["purpose"] != STRUCTURED_PURPOSE:
            raise ValueError(f"purpose is {short(start['purpose'])}: expected {STRUCTURED_PURPOSE!r}")
        try:
            values = {item.name: start[item.name] for item in fields(cls) if item.name in start}
            values |= {name: float(start[name]) for name in ("energy_kev", *_POSITIVE)}
            values |= {
                "elements": names_in("elements", start["elements"]),
                "shape": pair(start["shape"], int),
                "n_patterns": int(start["n_patterns"]),
                "detector": detector_from_metadata(start["xrf_detector"]),
                "grits": names_in("grits", start["grits"]),
                "theta_deg": float(start.get("theta_deg", 0.0)),
                "phases": names_in("phases", start.get("phases", ())),
            }
            structured = cls(**values)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"start document is malformed: {told(error)}") from error
        structured._check()
        return structured

    def _check(self) -> None:
        check_names(self, ("sample_name",), ())
        check_energy(self.energy_kev)
        if not self.elements:
            raise ValueError("elements is empty: name at least one element to fit")
        if not isfinite(self.theta_deg):
            raise ValueError(f"theta_deg is {self.theta_deg}: expected a finite number")
        for name in _POSITIVE:
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} is {getattr(self, name)}: expected a positive number")
        if min(*self.shape, self.n_patterns) < 1:
            raise ValueError(
                f"shape is {short(self.shape)}, n_patterns {short(self.n_patterns)}: expected at least 1 of each"
            )
        if 4 * self.n_patterns * self.shape[0] * self.shape[1] > LARGEST_PATTERNS_BYTES:
            raise ValueError(
                f"{short(self.n_patterns)} patterns of {short(self.shape)} pixels take more than "
                f"{LARGEST_PATTERNS_BYTES / 2**30:g} GiB: expected fewer or smaller ones"
            )


_NEEDED = (
    *(item.name for item in fields(StructuredStart) if item.default is MISSING and item.name != "detector"),
    "xrf_detector",
    "purpose",
)
