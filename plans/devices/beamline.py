"""The beamline as one record: every device of the simulated nanoprobe, wired together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ophyd import Signal

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.diffraction import beam_stop_pixels
from models.physics.photon import wavelength_nm
from models.physics.probe import Probe, zone_plate_probe
from models.run_schema import XrfDetector
from plans.devices.diffraction_camera import DiffractionCamera
from plans.devices.faults import Faults
from plans.devices.fly_controller import FlyController
from plans.devices.scaler import Scaler
from plans.devices.specimen_in_beam import LARGEST_FRAME, SpecimenInBeam
from plans.devices.stage import Encoders, Stage
from plans.devices.timing import BeamlineTiming
from plans.devices.xrf_detector import XrfSpectrometer

RING_CURRENT_MA = 400.0
FLUX_HZ = 5.0e8
"""In the focus of a zone plate at a nanoprobe; of the cathode it gives up to some 8000 counts a point in 30 ms."""
PHOTONS_PER_I0_COUNT = 100.0
CAMERA_PIXEL_UM = 55.0
"""Of a Medipix chip, as in the Merlin cameras at nanoprobes."""


@dataclass(frozen=True)
class Beamline:
    """What plans measure with.

    Attributes:
        ring_current: mA; a suspender on it pauses plans while the beam is gone, as on a real ring.
        detector: the spectrometer as the fit needs to know it.
        folder: where the devices write their files; Tiled must see the same absolute path.
        optics: name of what focuses the beam; a probe fits measurements with the same optics and energy.
    """

    stage: Stage
    xrf: XrfSpectrometer
    scaler: Scaler
    encoders: Encoders
    camera: DiffractionCamera
    flyer: FlyController
    ring_current: Signal
    specimen_in_beam: SpecimenInBeam
    detector: XrfDetector
    timing: BeamlineTiming
    time_scale: float
    folder: Path
    optics: str

    @property
    def specimen(self) -> Specimen:
        """What stands in the beam: the truth that only a simulation knows."""
        return self.specimen_in_beam.specimen

    @property
    def probe(self) -> Probe:
        """What it is seen with."""
        return self.specimen_in_beam.probe

    @property
    def energy_kev(self) -> float:
        """Of the beam."""
        return self.probe.energy_kev

    @property
    def flux_hz(self) -> float:
        """Photons per second in the probe."""
        return self.specimen_in_beam.flux_hz

    @property
    def camera_distance_m(self) -> float:
        """From specimen to camera, where one of its pixels spans 1 / (side of the probe's window), as frames do."""
        window_nm = float(self.probe.modes.shape[-1] * self.probe.pixel_size_nm)
        return CAMERA_PIXEL_UM * 1e3 * window_nm / wavelength_nm(self.energy_kev) * 1e-9


def make_beamline(
    folder: Path | str,
    specimen: str = "zn-mn-cathode",
    seed: int = 0,
    probe: Probe | None = None,
    time_scale: float = 1.0,
    *,
    n_detectors: int = 1,
    n_channels: int = 2048,
    flux_hz: float = FLUX_HZ,
    faults: Faults | None = None,
    timing: BeamlineTiming | None = None,
    calibration: str | None = "siemens-star",
    optics: str | None = None,
    frame_side_px: int = LARGEST_FRAME,
    dead_pixels: NDArray[np.bool_] | None = None,
    beam_stop_px: float = 0.0,
) -> Beamline:
    """Build the simulated nanoprobe.

    Args:
        folder: for the detectors' files.
        specimen: a name in `models.phantoms.specimens.SPECIMENS`.
        seed: of the specimen and of all noise.
        probe: what the specimen is seen with, its energy included; the focus of a zone plate at 10 keV by default.
        time_scale: 1 for real time, 0.1 for ten times faster, 0 for as fast as it computes.
        n_detectors: elements of the spectrometer, 1 to 4.
        n_channels: of 5 eV; 2048 hold everything up to 10 keV.
        flux_hz: photons per second in the probe.
        faults: what goes wrong; nothing by default.
        timing: speeds and dead times.
        calibration: name of a strong specimen, mounted beside the one to be measured, that makes the probe known.
        optics: name of what focuses the beam; the probe's description by default.
        frame_side_px: of the camera, even; no more than the probe's window is used.
        dead_pixels: (qy, qx) of the camera, gaps included; none by default.
        beam_stop_px: diameter of a stop in the direct beam, in camera pixels; none by default.

    Raises:
        ValueError: there is no such specimen, a number makes no sense, or the folder's name cannot stand in a URI.
    """
    if not 1 <= n_detectors <= 4:
        raise ValueError(f"n_detectors is {n_detectors}: pass 1 to 4")
    if not (flux_hz > 0 and time_scale >= 0):
        raise ValueError(f"flux_hz is {flux_hz}, time_scale {time_scale}: pass a positive and a non-negative number")
    folder = written_folder(folder)
    timing = timing or BeamlineTiming()
    detector = XrfDetector(n_detectors, n_channels, photons_per_i0_count=PHOTONS_PER_I0_COUNT)
    probe = probe or zone_plate_probe()
    side = min(frame_side_px, probe.modes.shape[-1])
    in_beam = SpecimenInBeam(
        make_specimen(specimen, seed),
        probe,
        detector,
        flux_hz=flux_hz,
        seed=seed,
        faults=faults or Faults(),
        calibration=None if calibration is None else make_specimen(calibration, seed),
        blind_pixels=_blind_pixels(side, dead_pixels, beam_stop_px),
    )
    ring_current = Signal(name="ring_current", value=RING_CURRENT_MA)
    stage = Stage(name="stage", timing=timing, time_scale=time_scale)
    xrf, scaler, encoders = (
        XrfSpectrometer(name="xrf", detector=detector),
        Scaler(name="scaler"),
        Encoders(name="encoders"),
    )
    camera = DiffractionCamera(name="camera", blind_pixels=in_beam.blind_pixels)
    flyer = FlyController(
        name="flyer",
        folder=folder,
        stage=stage,
        specimen_in_beam=in_beam,
        recorders=(xrf, scaler, encoders),
        frame_recorders=(camera,),
        beam_fraction=lambda: float(ring_current.get()) / RING_CURRENT_MA,
        timing=timing,
        time_scale=time_scale,
    )
    return Beamline(
        stage,
        xrf,
        scaler,
        encoders,
        camera,
        flyer,
        ring_current,
        in_beam,
        detector,
        timing,
        time_scale,
        folder,
        optics or probe.description or "unnamed optics",
    )


def written_folder(folder: Path | str) -> Path:
    """A folder for detectors' files, as an absolute path.

    Raises:
        ValueError: its name cannot stand in a URI.
    """
    absolute = Path(folder).resolve()
    if {"#", "?", "%"} & set(str(absolute)):
        raise ValueError(f"folder is {str(absolute)!r}: #, ? and % have a meaning in a URI, choose another one")
    return absolute


def _blind_pixels(side: int, dead_pixels: NDArray[np.bool_] | None, beam_stop_px: float) -> NDArray[np.bool_]:
    """Dead ones and those behind the stop, (qy, qx)."""
    if side < 2 or side % 2:
        raise ValueError(f"frame_side_px is {side}: pass an even number of pixels")
    if not 0 <= beam_stop_px < side:
        raise ValueError(f"beam_stop_px is {beam_stop_px}: pass a diameter from 0 to less than {side} camera pixels")
    behind_stop = beam_stop_pixels((side, side), beam_stop_px)
    if dead_pixels is None:
        return behind_stop
    if dead_pixels.shape != behind_stop.shape:
        raise ValueError(f"dead_pixels has shape {dead_pixels.shape}: the camera has {behind_stop.shape}")
    return np.asarray(behind_stop | dead_pixels, bool)
