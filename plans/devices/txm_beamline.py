"""The full-field microscope as one record: every device of the simulated structured-illumination instrument."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from ophyd import Signal

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.structured_light import GRITS, SCREEN_FIELDS
from models.physics.txm import TxmCamera
from models.run_schema import XrfDetector
from plans.devices.beamline import PHOTONS_PER_I0_COUNT, RING_CURRENT_MA, written_folder
from plans.devices.diffuser import DiffuserEncoders, DiffuserStage
from plans.devices.pattern_controller import PatternController
from plans.devices.scaler import Scaler
from plans.devices.stage import RANGE_UM
from plans.devices.structured_beam import StructuredBeam
from plans.devices.timing import BeamlineTiming
from plans.devices.txm_camera import TxmFrames
from plans.devices.xrf_detector import XrfSpectrometer

FLUX_HZ = 1.0e9
"""On the whole field; of the mixed cathode it makes some 1e5 counts a second, which one detector can just count."""
ENERGY_KEV = 9.0
"""Above the K edge of nickel and below that of copper, in optics for example."""
JITTER_NM = 20.0


@dataclass(frozen=True)
class TxmBeamline:
    """What plans of structured illumination measure with.

    Attributes:
        diffusers: by grit.
        specimen_in: 1 while the specimen stands in the beam.
        shutter: 1 while it is open.
        ring_current: mA; a suspender on it pauses plans while the beam is gone.
        folder: where the devices write their files; Tiled must see the same absolute path.
    """

    diffusers: dict[str, DiffuserStage]
    specimen_in: Signal
    shutter: Signal
    xrf: XrfSpectrometer
    scaler: Scaler
    encoders: DiffuserEncoders
    camera: TxmFrames
    controller: PatternController
    ring_current: Signal
    beam: StructuredBeam
    timing: BeamlineTiming
    time_scale: float
    folder: Path

    @property
    def specimen(self) -> Specimen:
        """What is to be measured: the truth that only a simulation knows."""
        return self.beam.specimen

    @property
    def detector(self) -> XrfDetector:
        """The spectrometer as the fit needs to know it."""
        return self.beam.detector

    @property
    def energy_kev(self) -> float:
        """Of the beam."""
        return self.beam.energy_kev

    @property
    def travel_um(self) -> tuple[float, float]:
        """(y, x) after which a diffuser's light repeats itself."""
        height, width = (SCREEN_FIELDS * n * self.beam.pixel_size_nm * 1e-3 for n in self.beam.shape)
        return height, width


def make_txm_beamline(
    folder: Path | str,
    specimen: str = "mixed-cathode",
    seed: int = 0,
    time_scale: float = 1.0,
    *,
    shape: tuple[int, int] = (80, 80),
    pixel_size_nm: float = 100.0,
    energy_kev: float = ENERGY_KEV,
    flux_hz: float = FLUX_HZ,
    jitter_nm: float = JITTER_NM,
    n_detectors: int = 1,
    n_channels: int = 2048,
    camera: TxmCamera | None = None,
    timing: BeamlineTiming | None = None,
) -> TxmBeamline:
    """Build the simulated full-field microscope with diffusers and a spectrometer.

    Args:
        folder: for the detectors' files.
        specimen: a name in `models.phantoms.specimens.SPECIMENS`.
        seed: of specimen, diffusers and all noise.
        time_scale: 1 for real time, 0.1 for ten times faster, 0 for as fast as it computes.
        shape: (y, x) pixels of the camera.
        pixel_size_nm: of the camera, on the specimen.
        energy_kev: of the photons.
        flux_hz: photons per second on the whole field, before the diffusers.
        jitter_nm: rms error of every move of a diffuser along y and x.
        n_detectors: elements of the spectrometer, 1 to 4.
        n_channels: of 5 eV.
        camera: its noise; a usual one by default.
        timing: speeds and dead times.

    Raises:
        ValueError: there is no such specimen, a number makes no sense, or the folder's name cannot stand in a URI.
    """
    _check(shape, pixel_size_nm, flux_hz, jitter_nm, time_scale)
    if not 1 <= n_detectors <= 4:
        raise ValueError(f"n_detectors is {n_detectors}: pass 1 to 4")
    folder, timing = written_folder(folder), timing or BeamlineTiming()
    detector = XrfDetector(n_detectors, n_channels, photons_per_i0_count=PHOTONS_PER_I0_COUNT)
    beam = StructuredBeam(
        make_specimen(specimen, seed),
        detector,
        camera or TxmCamera(),
        shape=shape,
        pixel_size_nm=pixel_size_nm,
        energy_kev=energy_kev,
        flux_hz=flux_hz,
        jitter_nm=jitter_nm,
        seed=seed,
    )
    return _wired(beam, folder, timing, time_scale)


def _wired(beam: StructuredBeam, folder: Path, timing: BeamlineTiming, time_scale: float) -> TxmBeamline:
    ring_current = Signal(name="ring_current", value=RING_CURRENT_MA)
    shutter, specimen_in = Signal(name="shutter", value=0), Signal(name="specimen_in", value=0)
    diffusers = {grit: DiffuserStage(name=f"diffuser_{grit}", timing=timing, time_scale=time_scale) for grit in GRITS}
    xrf, scaler = XrfSpectrometer(name="xrf", detector=beam.detector), Scaler(name="scaler")
    camera = TxmFrames(name="txm_camera", shape=beam.shape)
    encoders = DiffuserEncoders(name="diffuser_encoders", n_diffusers=len(GRITS))
    controller = PatternController(
        name="patterns",
        folder=folder,
        beam_fraction=lambda: float(ring_current.get()) / RING_CURRENT_MA,
        beam=beam,
        diffusers=diffusers,
        shutter=shutter,
        specimen_in=specimen_in,
        every_flight=(camera, scaler, encoders),
        with_spectra=(xrf,),
        timing=timing,
        time_scale=time_scale,
    )
    return TxmBeamline(
        diffusers,
        specimen_in,
        shutter,
        xrf,
        scaler,
        encoders,
        camera,
        controller,
        ring_current,
        beam,
        timing,
        time_scale,
        folder,
    )


def _check(shape: tuple[int, int], pixel_size_nm: float, flux_hz: float, jitter_nm: float, time_scale: float) -> None:
    if len(shape) != 2 or prod(shape) < 4 or min(shape) < 2:
        raise ValueError(f"shape is {shape}: pass (y, x) pixels, at least 2 of each")
    if not (pixel_size_nm > 0 and flux_hz > 0):
        raise ValueError(f"pixel_size_nm is {pixel_size_nm}, flux_hz {flux_hz}: pass positive numbers")
    if jitter_nm < 0 or time_scale < 0:
        raise ValueError(f"jitter_nm is {jitter_nm}, time_scale {time_scale}: pass none below 0")
    low, high = RANGE_UM
    if SCREEN_FIELDS * max(shape) * pixel_size_nm * 1e-3 > high - low:
        raise ValueError(
            f"a field of {shape} pixels of {pixel_size_nm:g} nm needs diffusers that move further than {high - low:g} "
            "um: pass fewer or smaller pixels"
        )
