"""Every file is written here with the calls that its program makes; repository and file stand above each."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.photon import HC_KEV_NM, wavelength_nm
from models.physics.probe import Probe, zone_plate_probe
from services.offline.hdf5 import InputFileError
from services.offline.probe_files import read_probe

KEV_J = 1.602176634e-16
PIXEL_M = 7.5e-9
Modes = NDArray[np.complex64]
Sides = tuple[float, float]
"""(y, x) of a pixel, in metres."""


def _with_opr(modes: Modes) -> Modes:
    """(OPR mode, mode, y, x): the mean probe, and how it varies."""
    return np.stack([modes, 0.3j * modes[:, ::-1], 0.1 * np.roll(modes, 9, axis=-1)])


def _ptychodus_h5(path: Path, modes: Modes, sides: Sides) -> None:
    # AdvancedPhotonSource/ptychodus, src/ptychodus/api/io.py (save_product) and plugins/h5_product_file.py
    with h5py.File(path, "w") as file:
        file.attrs.update({"name": "a", "comments": "", "detector_object_distance_m": 1.9, "probe_energy_eV": 10e3})
        file.attrs.update({"probe_photon_count": 0.0, "exposure_time_s": 0.0, "mass_attenuation_m2_kg": 0.0})
        probe = file.create_dataset("probe", data=_with_opr(modes))
        file.create_dataset("opr_weights", data=np.ones((4, 3)))
        probe.attrs["pixel_width_m"] = sides[1]
        probe.attrs["pixel_height_m"] = sides[0]
        specimen = file.create_dataset("object", data=np.ones((1, 200, 200), np.complex64))
        specimen.attrs.update({"center_x_m": 0.0, "center_y_m": 0.0, "pixel_width_m": 1e-9, "pixel_height_m": 1e-9})
        file.create_dataset("object_layer_spacing_m", data=[])


def _ptychodus_npz(path: Path, modes: Modes, sides: Sides) -> None:
    # AdvancedPhotonSource/ptychodus, src/ptychodus/plugins/npz_product_file.py
    contents: dict[str, Any] = {
        "name": "a",
        "comments": "",
        "detector_object_distance_m": 1.9,
        "photon_energy_eV": 10e3,
        "far_field": True,
        "probe": _with_opr(modes),
        "probe_pixel_width_m": sides[1],
        "probe_pixel_height_m": sides[0],
        "object": np.ones((1, 200, 200), np.complex64),
        "object_pixel_width_m": 1e-9,
        "object_pixel_height_m": 1e-9,
        "object_layer_spacing_m": [],
    }
    np.savez(path, **contents)


def _ptychodus_cxi(path: Path, modes: Modes, sides: Sides) -> None:
    # AdvancedPhotonSource/ptychodus, src/ptychodus/plugins/cxi_file.py (CXIProductFileIO.write)
    with h5py.File(path, "w") as file:
        file.create_dataset("cxi_version", data=160)
        instrument = file.create_group("/entry_1/instrument_1")
        source = instrument.create_group("source_1")
        source.create_dataset("energy", data=10.0 * KEV_J)
        instrument.create_group("detector_1").create_dataset("distance", data=1.9)
        image = file.create_group("/entry_1/image_1")
        image.create_dataset("data", data=_with_opr(modes)).attrs["axes"] = "coherent:incoherent:y:x"
        source["illumination"] = h5py.SoftLink("/entry_1/image_1/data")
        file.create_dataset("/entry_1/ptychodus/probe_pixel_width_m", data=sides[1])
        file.create_dataset("/entry_1/ptychodus/probe_pixel_height_m", data=sides[0])


def _pty_chi(path: Path, modes: Modes, sides: Sides) -> None:
    # AdvancedPhotonSource/pty-chi, src/ptychi/pear/pear_save_recon.py (save_reconstructions)
    with h5py.File(path, "w") as file:
        file.create_dataset("probe", data=_with_opr(modes))
        file.create_dataset("object", data=np.ones((1, 200, 200), np.complex64))
        file.create_dataset("loss", data=[1.0])
        file.create_dataset("obj_pixel_size_m", data=sides[0])
        file.create_dataset("opr_mode_weights", data=np.ones((4, 3)))


def _tike(path: Path, modes: Modes, sides: Sides) -> None:
    # AdvancedPhotonSource/tike, src/tike/ptycho: PtychoParameters.probe is (1, 1, SHARED, WIDE, HIGH); a user's savez
    np.savez(path, probe=modes[None, None], pixel_size_m=sides[0], energy_kev=10.0)


def _sharp_cxi(path: Path, modes: Modes, sides: Sides) -> None:
    # CXI 1.6 (cxidb.org/cxi.html), with the illumination where ptychodus' cxi_file.py calls it "legacy probe" and
    # SHARP's writers put it: instrument_1/detector_1 with distance and pixel in metres, the energy in joules
    distance_m = 1.9
    n_y, n_x = modes.shape[-2:]
    with h5py.File(path, "w") as file:
        file.create_dataset("cxi_version", data=140)
        instrument = file.create_group("entry_1/instrument_1")
        detector = instrument.create_group("detector_1")
        detector.create_dataset("distance", data=distance_m)
        detector.create_dataset("x_pixel_size", data=wavelength_nm(10.0) * 1e-9 * distance_m / (n_x * sides[1]))
        detector.create_dataset("y_pixel_size", data=wavelength_nm(10.0) * 1e-9 * distance_m / (n_y * sides[0]))
        detector.create_dataset("data", data=np.zeros((2, n_y, n_x), np.uint16))
        source = instrument.create_group("source_1")
        source.create_dataset("energy", data=10.0 * KEV_J)
        source.create_dataset("illumination", data=modes)
        source["probe"] = h5py.SoftLink("/entry_1/instrument_1/source_1/illumination")


def _pynx_cxi(path: Path, modes: Modes, sides: Sides) -> None:
    # PyNX, pynx/ptycho/ptycho.py (save_obj_probe_cxi)
    with h5py.File(path, "w") as file:
        file.create_dataset("cxi_version", data=150)
        entry = file.create_group("/entry_1")
        entry["/entry_last"] = h5py.SoftLink("/entry_1")
        result = entry.create_group("result_2")
        entry["probe"] = h5py.SoftLink("/entry_1/result_2")
        result.create_dataset("data", data=modes, chunks=True, shuffle=True, compression="gzip")
        result.create_dataset("x_pixel_size", data=np.float32(sides[1]))
        result.create_dataset("y_pixel_size", data=np.float32(sides[0]))
        entry.create_group("instrument_1/source_1").create_dataset("energy", data=10.0 * KEV_J)


def _ptypy(path: Path, modes: Modes, sides: Sides) -> None:
    # ptycho/ptypy, ptypy/core/classes.py (Storage: data, _psize in metres); paths and _energy by readers of .ptyr
    with h5py.File(path, "w") as file:
        storage = file.create_group("content/probe/Sscan_00G00")
        storage.create_dataset("data", data=modes)
        storage.create_dataset("_psize", data=np.array(sides))
        storage.create_dataset("_energy", data=10.0)


def _cdtools(path: Path, modes: Modes, sides: Sides) -> None:
    # cdtools-developers/cdtools, models/fancy_ptycho.py (save_results), tools/data/data.py (nested_dict_to_h5)
    with h5py.File(path, "w") as file:
        file.create_group("state_dict").create_dataset("probe", data=modes / 7)
        file.create_dataset("probe", data=modes)
        file.create_dataset("probe_basis", data=np.array([[0, -sides[1]], [-sides[0], 0], [0, 0]], np.float32))
        file.create_dataset("wavelength", data=np.float32(wavelength_nm(10.0) * 1e-9))


Writer = Callable[[Path, Modes, Sides], None]
WRITERS: dict[str, Writer] = {
    "product.h5": _ptychodus_h5,
    "product.npz": _ptychodus_npz,
    "product.cxi": _ptychodus_cxi,
    "recon_Niter100.h5": _pty_chi,
    "tike.npz": _tike,
    "sharp.cxi": _sharp_cxi,
    "pynx.cxi": _pynx_cxi,
    "scan.ptyr": _ptypy,
    "cdtools.h5": _cdtools,
}
SAYS_BOTH_SIDES = sorted(WRITERS.keys() - {"recon_Niter100.h5", "tike.npz"})
formats = pytest.mark.parametrize("name", WRITERS)


@pytest.fixture(scope="module")
def zone_plate() -> Probe:
    return zone_plate_probe(n_modes=3)


@formats
def test_the_intensity_comes_back_centred(tmp_path: Path, zone_plate: Probe, name: str) -> None:
    WRITERS[name](tmp_path / name, np.roll(zone_plate.modes, (5, -3), axis=(-2, -1)), (PIXEL_M, PIXEL_M))
    probe = read_probe(tmp_path / name)
    assert probe.pixel_size_nm == pytest.approx(7.5, rel=1e-6)
    assert probe.energy_kev == pytest.approx(10.0, rel=1e-6)
    assert len(probe.modes) == 3
    expected = zone_plate.intensity()
    assert probe.intensity() == pytest.approx(expected, abs=1e-4 * float(expected.max()))


@pytest.mark.parametrize("name", ["product.h5", "product.npz", "product.cxi", "recon_Niter100.h5"])
def test_of_opr_modes_the_description_says_the_first(tmp_path: Path, zone_plate: Probe, name: str) -> None:
    WRITERS[name](tmp_path / name, zone_plate.modes, (PIXEL_M, PIXEL_M))
    assert read_probe(tmp_path / name).description == f"{name}, first of 3 OPR modes"


@pytest.mark.parametrize("name", SAYS_BOTH_SIDES)
def test_a_pixel_that_is_not_square_is_refused_by_its_names(tmp_path: Path, zone_plate: Probe, name: str) -> None:
    WRITERS[name](tmp_path / name, zone_plate.modes, (PIXEL_M, 1.0005 * PIXEL_M))
    assert read_probe(tmp_path / name).pixel_size_nm == pytest.approx(7.501875)
    WRITERS[name](tmp_path / name, zone_plate.modes, (PIXEL_M, 1.01 * PIXEL_M))
    with pytest.raises(InputFileError, match=rf"{name}: a pixel of \S*(probe|illumination)\S* has 7.5 x 7.575 nm"):
        read_probe(tmp_path / name)
    assert read_probe(tmp_path / name, pixel_nm=7).pixel_size_nm == 7.0


@formats
@pytest.mark.parametrize("side_m", [0.0, 7.5, -PIXEL_M, float("nan")])
def test_a_pixel_of_no_possible_size_is_refused(tmp_path: Path, zone_plate: Probe, name: str, side_m: float) -> None:
    with np.errstate(divide="ignore"):
        WRITERS[name](tmp_path / name, zone_plate.modes, (np.float64(side_m), np.float64(side_m)))
    if name == "cdtools.h5" and side_m < 0:
        assert read_probe(tmp_path / name).pixel_size_nm == pytest.approx(7.5)  # a step backwards is as long
        return
    with pytest.raises(InputFileError, match=rf"{name}: .*pass --probe-pixel-nm"):
        read_probe(tmp_path / name)
    assert read_probe(tmp_path / name, pixel_nm=7.5).pixel_size_nm == 7.5


@formats
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda modes: 0 * modes, "holds nothing but zeros"),
        (lambda modes: np.where(modes == modes.max(), np.nan, modes), "pixels? that are no numbers"),
        (lambda modes: np.abs(modes), "the complex wavefield is needed, not its amplitude"),
        (lambda modes: modes[:, :0], "is needed"),
    ],
)
def test_what_is_no_wavefield_is_refused_by_file_and_key(
    tmp_path: Path, zone_plate: Probe, name: str, spoil: Callable[[Modes], Modes], words: str
) -> None:
    WRITERS[name](tmp_path / name, zone_plate.modes, (PIXEL_M, PIXEL_M))
    _replace(tmp_path / name, spoil)
    with pytest.raises(InputFileError, match=rf"{name}: \S*(probe|illumination)\S* .*{words}"):
        read_probe(tmp_path / name)


def _replace(path: Path, spoil: Callable[[Modes], Modes]) -> None:
    """Every complex probe of the file by what `spoil` makes of it."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            content = dict(archive)
        np.savez(path, **{**content, "probe": spoil(content["probe"])})
        return
    keys: list[str] = []
    with h5py.File(path, "r+") as file:
        file.visititems(lambda key, node: keys.append(key) if getattr(node, "dtype", "") == np.complex64 else None)
        for key in keys:
            values = file[key][()]
            del file[key]
            file[key] = spoil(values)


@formats
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short_is_refused_by_name(tmp_path: Path, zone_plate: Probe, name: str, kept: float) -> None:
    WRITERS[name](tmp_path / name, zone_plate.modes, (PIXEL_M, PIXEL_M))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputFileError, match=name):
        read_probe(tmp_path / name)


@pytest.mark.parametrize("shape", [(8,), (2, 1, 3, 8, 8), (1, 1, 0, 8, 8), ()])
def test_other_axes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", probe=np.ones(shape, np.complex64), pixel_nm=7.5)
    with pytest.raises(InputFileError, match=r"a.npz: probe has shape .* is needed"):
        read_probe(tmp_path / "a.npz")


def test_leading_ones_and_any_window_are_read(tmp_path: Path) -> None:
    y, x = np.indices((21, 40))
    beam = np.exp(-((y - 10) ** 2 + (x - 20) ** 2) / 8).astype(np.complex64)
    for probe in (beam, beam[None], beam[None, None, None, None, None]):
        np.savez(tmp_path / "a.npz", probe=probe, pixel_size_um=0.0075)
        assert read_probe(tmp_path / "a.npz").modes.shape == (1, 40, 40)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    for key in ("probe", "pixel_nm", "description"):
        content: dict[str, Any] = {"probe": np.ones((8, 8), np.complex64), "pixel_nm": 7.5}
        np.savez(tmp_path / "a.npz", **{**content, key: np.array([Bomb()], dtype=object)})
        with pytest.raises(InputFileError, match=rf"a.npz: {key} cannot be read"):
            read_probe(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["product.npz", "tike.npz"])
def test_changed_bytes_never_end_in_another_error(tmp_path: Path, zone_plate: Probe, name: str) -> None:
    WRITERS[name](tmp_path / name, zone_plate.modes[:1, 48:80, 48:80], (PIXEL_M, PIXEL_M))
    whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(200):
        changed = whole.copy()
        changed[rng.integers(min(4000, len(whole)), size=20)] = rng.integers(256, size=20)
        (tmp_path / name).write_bytes(changed.tobytes())
        with contextlib.suppress(InputFileError):
            read_probe(tmp_path / name)


def test_an_array_larger_than_any_probe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("probe", (1 << 20, 1 << 20), np.complex64, chunks=(256, 256))
    with pytest.raises(InputFileError, match=r"a.h5: probe has shape \(1048576, 1048576\)"):
        read_probe(tmp_path / "a.h5")


def test_a_name_without_its_unit_says_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", probe=np.ones((8, 8), np.complex64), pixel_size=7.5e-9)
    with pytest.raises(InputFileError, match="pass --probe-pixel-nm"):
        read_probe(tmp_path / "a.npz")


def test_frames_of_another_size_say_nothing_of_the_pixel(tmp_path: Path, zone_plate: Probe) -> None:
    _sharp_cxi(tmp_path / "a.cxi", zone_plate.modes, (PIXEL_M, PIXEL_M))
    with h5py.File(tmp_path / "a.cxi", "r+") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        del detector["data"]
        detector["data"] = np.zeros((2, 64, 64), np.uint16)
    with pytest.raises(InputFileError, match="pass --probe-pixel-nm"):
        read_probe(tmp_path / "a.cxi")


def test_a_fourier_probe_of_cdtools_is_transformed_back(tmp_path: Path, zone_plate: Probe) -> None:
    # cdtools, models/fancy_ptycho.py: the buffer fourier_probe, and tools/propagators (inverse_far_field)
    shifted = np.fft.ifftshift(zone_plate.modes, axes=(-2, -1))
    far = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1)).astype(np.complex64)
    _cdtools(tmp_path / "a.h5", far, (PIXEL_M, PIXEL_M))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["state_dict/fourier_probe"] = np.array(True)
    expected = zone_plate.intensity()
    assert read_probe(tmp_path / "a.h5").intensity() == pytest.approx(expected, abs=1e-4 * float(expected.max()))


def test_energy_comes_from_the_option_then_from_the_file(tmp_path: Path) -> None:
    content: dict[str, Any] = {"probe": np.outer(np.hanning(8), np.hanning(8)).astype(complex), "pixel_nm": 7.5}
    np.savez(tmp_path / "a.npz", **content)
    assert read_probe(tmp_path / "a.npz", energy_kev=9.5).energy_kev == 9.5
    with pytest.raises(InputFileError, match=r"energy of probe: pass --probe-energy-kev"):
        read_probe(tmp_path / "a.npz", needs_energy=True)
    np.savez(tmp_path / "a.npz", **content, wavelength_m=HC_KEV_NM / 8.0 * 1e-9)
    assert read_probe(tmp_path / "a.npz", needs_energy=True).energy_kev == pytest.approx(8.0)
    np.savez(tmp_path / "a.npz", **content, energy_kev=-1.0)
    with pytest.raises(InputFileError, match=r"a.npz: energy_kev is -1.0"):
        read_probe(tmp_path / "a.npz")
