"""Names and start-documents of runs: the contract between who writes a run and who reads it.

One Bluesky run is one projection. Its stream ``xrf`` holds, row by row, the arrays named below; its start document
carries a `ProjectionStart`. A ptychography run, which makes the probe known, has the same streams and carries a
`PtychographyStart`.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal

from models.physics.photon import far_field_pixel_nm
from models.scan import FlyScan
from models.start_documents import check_energy, check_names, check_present, names_in, pair, short, told

XRF_STREAM = "xrf"
DIFFRACTION_STREAM = "diffraction"
BASELINE_STREAM = "baseline"

# Data keys of the xrf stream. The first axis of each is the row; points run along increasing x also where a snake scan
# flew backwards. A point that was not measured is NaN in both times.
SPECTRA = "xrf_spectra"  # counts, uint32 (row, x, detector, channel)
LIVE_TIME_S = "xrf_live_time_s"  # float32 (row, x, detector)
REAL_TIME_S = "xrf_real_time_s"  # float32 (row, x, detector)
I0 = "i0"  # monitor counts, float64 (row, x); NaN where the monitor failed
X_UM = "x_um"  # encoder, float64 (row, x)
Y_UM = "y_um"  # encoder, float64 (row, x)
FRAMES = "diffraction_frames"  # counts, uint16 (row, x, qy, qx) in the diffraction stream

# Configuration of the camera, which stands in the descriptor of the diffraction stream.
BLIND_PIXELS = "camera_blind_pixels"  # 1 where a pixel counts nothing (dead, gap, behind the beam stop), (qy, qx)

PROJECTION_SPEC = "XRFProjection"
PTYCHOGRAPHY_SPEC = "PtychographyScan"
PLAN_TYPE = "generator"

Purpose = Literal["coarse", "fine"]
FlightPurpose = Literal[Purpose, "probe"]
PROBE_PURPOSE: FlightPurpose = "probe"
Target = Literal["calibration", "sample"]

# Bounds of what is believed. A start document beyond them is a mistake or worse, and what is made for it, maps of the
# whole raster and stacks of the whole series, would fill memory and disks before a single count is read.
LARGEST_PROJECTION_BYTES = 4 * 2**30  # spectra of 512 x 512 points with 4096 channels of uint32
LARGEST_SERIES = 10_000  # angles; a tomogram of 4096 voxels across wants some 6400
LARGEST_DETECTOR = (64, 65_536)  # elements, channels


@dataclass(frozen=True)
class XrfDetector:
    """The energy-dispersive detector as the fit needs to know it.

    Energy of channel c is ``energy_offset_kev + energy_gain_kev * c``; the peak at energy E has the Gaussian width
    ``sigma(E)^2 = noise_sigma_kev^2 + fano * pair_energy_kev * E``.
    """

    n_detectors: int = 1
    n_channels: int = 4096
    energy_offset_kev: float = 0.0
    energy_gain_kev: float = 0.005
    noise_fwhm_kev: float = 0.09
    fano: float = 0.115
    pair_energy_kev: float = 3.66e-3
    solid_angle_sr: float = 0.3
    """Of ONE detector element."""
    photons_per_i0_count: float = 1.0e4
    dead_time_s: float = 4.0e-7
    """Per pulse, non-extendable."""


@dataclass(frozen=True)
class ProjectionStart:
    """What subprobe writes into, and needs from, the start document of a projection run."""

    series_uid: str
    series_name: str
    sample_name: str
    angle_index: int
    n_angles: int
    theta_deg: float
    purpose: Purpose
    energy_kev: float
    elements: tuple[str, ...]
    scan: FlyScan
    detector: XrfDetector
    i0_nominal: float
    """Monitor counts per point that maps are normalised to."""
    probe: str | None = None
    """Key of the probe in /probes; None: the worker takes the newest that fits."""
    paired_run_uid: str | None = None
    """Of a fine scan: the coarse run of the same angle; of a coarse one: None, for the fine one is taken after it."""
    angles_deg: tuple[float, ...] = ()
    """Every angle of the series by angle_index, so that a reader knows the geometry before the series is complete."""
    optics: str | None = None
    """Name of what focuses the beam: a probe fits where optics and energy are those it was measured with."""

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON-able start-document keys, PyXRF's ``scan`` block included (its ``shape`` is fast first)."""
        scan = self.scan
        rows, points = scan.shape
        y_um, x_um = scan.y_um(), scan.x_um()
        metadata = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in ("scan", "detector", "elements", "angles_deg")
        }
        return metadata | {
            "elements": list(self.elements),
            "angles_deg": [float(angle) for angle in self.angles_deg],
            "step_nm": scan.step_nm,
            "pixel_size_nm": scan.step_nm,
            "dwell_s": scan.dwell_s,
            "raster": _raster_metadata(scan),
            "xrf_detector": asdict(self.detector),
            "shape": [rows, points],
            "scan": {
                "type": "2D_FLY" if scan.motion == "fly" else "2D_STEP",
                "scan_input": [
                    float(x_um[0]),
                    float(x_um[-1]),
                    points,
                    float(y_um[0]),
                    float(y_um[-1]),
                    rows,
                    scan.dwell_s,
                ],
                "dwell": scan.dwell_s,
                "snake": int(scan.snake),
                "shape": [points, rows],
                "sample_name": self.sample_name,
                "detectors": ["xrf", "scaler"],
                "energy": self.energy_kev,
                "theta": {"val": self.theta_deg, "units": "deg"},
                "delta": {"val": scan.step_nm, "units": "nm"},
                "fast_axis": {"motor_name": "x", "units": "um"},
                "slow_axis": {"motor_name": "y", "units": "um"},
            },
            "sample": {"name": self.sample_name},
        }

    @classmethod
    def from_metadata(cls, start: Mapping[str, Any]) -> "ProjectionStart":
        """Read a start document back.

        Raises:
            ValueError: a key is missing or has the wrong form; the message names it.
        """
        check_present(start, _NEEDED_KEYS, "projection")
        try:
            values = {item.name: start[item.name] for item in fields(cls) if item.name in start}
            values |= {
                "scan": _scan_from_metadata(start["raster"]),
                "detector": detector_from_metadata(start["xrf_detector"]),
                "elements": names_in("elements", start["elements"]),
                "angles_deg": tuple(float(angle) for angle in start.get("angles_deg", ())),
                "angle_index": int(start["angle_index"]),
                "n_angles": int(start["n_angles"]),
                "theta_deg": float(start["theta_deg"]),
                "energy_kev": float(start["energy_kev"]),
                "i0_nominal": float(start["i0_nominal"]),
            }
            projection = cls(**values)
            projection._check_size()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"start document is malformed: {told(error)}") from error
        check_names(projection, ("series_uid", "series_name", "sample_name"), ("probe", "paired_run_uid", "optics"))
        if not 0 <= projection.angle_index < projection.n_angles:
            raise ValueError(
                f"angle_index is {projection.angle_index} in a series of {projection.n_angles} angles: it counts from 0"
            )
        if projection.purpose not in ("coarse", "fine"):
            raise ValueError(f"purpose is {short(projection.purpose)}: expected 'coarse' or 'fine'")
        if not projection.elements:
            raise ValueError("elements is empty: name at least one element to fit")
        return projection

    def _check_size(self) -> None:
        """Whether its numbers can be those of a measurement."""
        check_energy(self.energy_kev)
        for name in ("theta_deg", "i0_nominal"):
            if not isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}: expected a finite number")
        if self.i0_nominal <= 0:
            raise ValueError(f"i0_nominal is {self.i0_nominal}: expected a positive number")
        if self.n_angles > LARGEST_SERIES:
            raise ValueError(f"n_angles is {short(self.n_angles)}: expected at most {LARGEST_SERIES}")
        if self.angles_deg and (len(self.angles_deg) != self.n_angles or not all(map(isfinite, self.angles_deg))):
            raise ValueError(
                f"angles_deg has {len(self.angles_deg)} entries for n_angles = {self.n_angles}: "
                "expected one finite number for each"
            )
        spectra_bytes = 4 * self.scan.n_points * self.detector.n_detectors * self.detector.n_channels
        if spectra_bytes > LARGEST_PROJECTION_BYTES:
            raise ValueError(
                f"{self.detector.n_detectors} x {self.detector.n_channels} channels at {short(self.scan.shape)} "
                f"points take more than {LARGEST_PROJECTION_BYTES / 2**30:g} GiB: expected a smaller projection"
            )


@dataclass(frozen=True)
class PtychographyStart:
    """What the start document of a ptychography run says: all that recovering the probe needs besides frames."""

    sample_name: str
    theta_deg: float
    energy_kev: float
    optics: str
    """Name of what focuses the beam: the probe found here fits projections of the same optics and energy."""
    scan: FlyScan
    frame_shape: tuple[int, int]
    """(qy, qx), square; the direct beam lies on pixel n // 2."""
    detector_distance_m: float
    detector_pixel_um: float
    flux_hz: float
    """Photons per second on the specimen, behind the filters."""
    target: Target = "calibration"
    series_uid: str | None = None
    """Of the series that it was taken for."""

    @property
    def object_pixel_nm(self) -> float:
        """Pixel of probe and object as these frames sample them, the same along y and x."""
        return far_field_pixel_nm(
            self.energy_kev, self.detector_distance_m, self.frame_shape[0], self.detector_pixel_um
        )

    @property
    def photons_per_frame(self) -> float:
        """On the specimen, of full beam."""
        return self.flux_hz * self.scan.dwell_s

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON-able start-document keys."""
        scan = self.scan
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "scan"} | {
            "purpose": PROBE_PURPOSE,
            "frame_shape": list(self.frame_shape),
            "raster": _raster_metadata(scan),
            "shape": list(scan.shape),
            "step_nm": scan.step_nm,
            "dwell_s": scan.dwell_s,
            "object_pixel_nm": self.object_pixel_nm,
            "sample": {"name": self.sample_name},
        }

    @classmethod
    def from_metadata(cls, start: Mapping[str, Any]) -> "PtychographyStart":
        """Read a start document back.

        Raises:
            ValueError: a key is missing or has the wrong form; the message names it.
        """
        check_present(start, _NEEDED_OF_PTYCHOGRAPHY, "ptychography")
        if start["purpose"] != PROBE_PURPOSE:
            raise ValueError(f"purpose is {short(start['purpose'])}: expected {PROBE_PURPOSE!r}")
        try:
            numbers = ("theta_deg", "energy_kev", "detector_distance_m", "detector_pixel_um", "flux_hz")
            values = {item.name: start[item.name] for item in fields(cls) if item.name in start}
            values |= {name: float(start[name]) for name in numbers}
            values |= {
                "scan": _scan_from_metadata(start["raster"]),
                "frame_shape": pair(start["frame_shape"], int),
            }
            ptychography = cls(**values)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"start document is malformed: {told(error)}") from error
        ptychography._check()
        return ptychography

    def _check(self) -> None:
        check_names(self, ("sample_name", "optics"), ("series_uid",))
        check_energy(self.energy_kev)
        if not isfinite(self.theta_deg):
            raise ValueError(f"theta_deg is {self.theta_deg}: expected a finite number")
        for name in ("energy_kev", "detector_distance_m", "detector_pixel_um", "flux_hz"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} is {getattr(self, name)}: expected a positive number")
        if self.frame_shape[0] != self.frame_shape[1] or self.frame_shape[0] < 2:
            raise ValueError(f"frame_shape is {self.frame_shape}: expected a square")
        if 2 * self.scan.n_points * self.frame_shape[0] ** 2 > LARGEST_PROJECTION_BYTES:
            raise ValueError(
                f"frames of {short(self.frame_shape)} at each of {short(self.scan.shape)} points take more than "
                f"{LARGEST_PROJECTION_BYTES / 2**30:g} GiB: expected fewer or smaller ones"
            )
        if self.target not in ("calibration", "sample"):
            raise ValueError(f"target is {short(self.target)}: expected 'calibration' or 'sample'")


_NEEDED_KEYS = (
    *(
        item.name
        for item in fields(ProjectionStart)
        if item.default is MISSING and item.name not in ("scan", "detector")
    ),
    "raster",
    "xrf_detector",
)


_NEEDED_OF_PTYCHOGRAPHY = (
    *(item.name for item in fields(PtychographyStart) if item.default is MISSING and item.name != "scan"),
    "raster",
    "purpose",
)


def _raster_metadata(scan: FlyScan) -> dict[str, Any]:
    """A raster in lists and numbers; a regular one says nothing of offsets."""
    raster = asdict(scan)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in raster.items() if value != ()}


def _scan_from_metadata(raster: Mapping[str, Any]) -> FlyScan:
    values = dict(raster)
    values["shape"] = pair(values["shape"], int)
    values["centre_um"] = pair(values["centre_um"], float)
    if not all(map(isfinite, values["centre_um"])):
        raise ValueError(f"centre_um is {values['centre_um']}: expected two finite numbers")
    for name in ("row_offset_y_um", "row_offset_x_um"):
        values[name] = tuple(float(offset) for offset in values.get(name, ()))
    return FlyScan(**values)


def detector_from_metadata(described: Mapping[str, Any]) -> XrfDetector:
    """Read the block that `dataclasses.asdict` made of a detector.

    Raises:
        ValueError: it describes none that can be believed.
        TypeError: it has other keys.
    """
    detector = XrfDetector(**described)
    for name, most in zip(("n_detectors", "n_channels"), LARGEST_DETECTOR, strict=True):
        count = getattr(detector, name)
        if type(count) is not int or not 1 <= count <= most:
            raise ValueError(f"{name} of xrf_detector is {short(count)}: expected a whole number from 1 to {most}")
    for item in fields(detector):
        if not isfinite(getattr(detector, item.name)):
            raise ValueError(f"{item.name} of xrf_detector is {getattr(detector, item.name)}: expected a finite number")
    return detector
