"""The beamline as one record: every device of the simulated nanoprobe, wired together."""

from dataclasses import dataclass
from pathlib import Path

from ophyd import Signal

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.probe import Probe, zone_plate_probe
from models.run_schema import XrfDetector
from plans.devices.diffraction_camera import DiffractionCamera
from plans.devices.faults import Faults
from plans.devices.fly_controller import FlyController
from plans.devices.scaler import Scaler
from plans.devices.specimen_in_beam import SpecimenInBeam
from plans.devices.stage import Encoders, Stage
from plans.devices.timing import BeamlineTiming
from plans.devices.xrf_detector import XrfSpectrometer

RING_CURRENT_MA = 400.0
FLUX_HZ = 5.0e8
"""In the focus of a zone plate at a nanoprobe; of the cathode it gives up to some 8000 counts a point in 30 ms."""
PHOTONS_PER_I0_COUNT = 100.0


@dataclass(frozen=True)
class Beamline:
    """What plans measure with.

    Attributes:
        ring_current: mA; a suspender on it pauses plans while the beam is gone, as on a real ring.
        detector: the spectrometer as the fit needs to know it.
        folder: where the devices write their files; Tiled must see the same absolute path.
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

    Raises:
        ValueError: there is no such specimen, a number makes no sense, or the folder's name cannot stand in a URI.
    """
    if not 1 <= n_detectors <= 4:
        raise ValueError(f"n_detectors is {n_detectors}: pass 1 to 4")
    if not (flux_hz > 0 and time_scale >= 0):
        raise ValueError(f"flux_hz is {flux_hz}, time_scale {time_scale}: pass a positive and a non-negative number")
    folder = Path(folder).resolve()
    if {"#", "?", "%"} & set(str(folder)):
        raise ValueError(f"folder is {str(folder)!r}: #, ? and % have a meaning in a URI, choose another one")
    timing = timing or BeamlineTiming()
    detector = XrfDetector(n_detectors, n_channels, photons_per_i0_count=PHOTONS_PER_I0_COUNT)
    in_beam = SpecimenInBeam(
        make_specimen(specimen, seed),
        probe or zone_plate_probe(),
        detector,
        flux_hz=flux_hz,
        seed=seed,
        faults=faults or Faults(),
    )
    ring_current = Signal(name="ring_current", value=RING_CURRENT_MA)
    stage = Stage(name="stage", timing=timing, time_scale=time_scale)
    xrf, scaler, encoders = (
        XrfSpectrometer(name="xrf", detector=detector),
        Scaler(name="scaler"),
        Encoders(name="encoders"),
    )
    camera = DiffractionCamera(name="camera", frame_shape=in_beam.frame_shape)
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
        stage, xrf, scaler, encoders, camera, flyer, ring_current, in_beam, detector, timing, time_scale, folder
    )
