from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from models.physics.flyscan import fly_kernel
from models.physics.probe import Probe, gaussian_probe, save_probe, zone_plate_probe
from models.superres.enhance import enhance
from services.offline.hdf5 import InputFileError
from services.offline.probe_files import read_probe


def _written(path: Path, attributes: dict[str, Any] | None = None, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.update(datasets)
        file.attrs.update({"pixel_nm": 7.5} if attributes is None else attributes)
    return path


@pytest.fixture(scope="module")
def zone_plate() -> Probe:
    return zone_plate_probe(n_modes=4)


@pytest.mark.parametrize("offset_px", [0.0, 0.4, 7.5])
def test_intensity_alone_gives_the_kernel_of_the_wavefield(tmp_path: Path, zone_plate: Probe, offset_px: float) -> None:
    ramp = np.exp(-2j * np.pi * offset_px * np.fft.fftfreq(zone_plate.modes.shape[-1]))
    moved = np.abs(np.fft.ifft(np.fft.fft(zone_plate.modes) * ramp)) ** 2
    expected = fly_kernel(zone_plate.intensity(), 4, "fly")
    for shown in (moved, moved.sum(axis=0)):
        probe = read_probe(_written(tmp_path / "probe.h5", intensity=shown))
        assert fly_kernel(probe.intensity(), 4, "fly") == pytest.approx(expected, abs=1e-3 * float(expected.max()))


def test_a_noisy_intensity_is_centred_too(tmp_path: Path, zone_plate: Probe) -> None:
    photons = np.random.default_rng(5).poisson(2e3 * zone_plate.intensity() + 1e-2)
    probe = read_probe(_written(tmp_path / "probe.h5", intensity=photons[3:, :-2]))
    assert probe.modes.shape == (1, 126, 126)


def test_amplitude_and_phase_are_the_wavefield(tmp_path: Path, zone_plate: Probe) -> None:
    modes = zone_plate.modes
    path = _written(
        tmp_path / "probe.h5", {"pixel_nm": 7.5, "energy_kev": 9.0}, amplitude=np.abs(modes), phase=np.angle(modes)
    )
    probe = read_probe(path)
    assert np.abs(probe.modes - modes).max() < 1e-4 * np.abs(modes).max()
    assert (probe.pixel_size_nm, probe.energy_kev) == (7.5, 9.0)


def test_amplitude_without_phase_is_the_root_of_the_intensity(tmp_path: Path, zone_plate: Probe) -> None:
    amplitude = np.abs(zone_plate.modes[0])
    alone = read_probe(_written(tmp_path / "a.h5", amplitude=amplitude))
    squared = read_probe(_written(tmp_path / "i.h5", intensity=amplitude.astype(np.float64) ** 2))
    assert alone.intensity() == pytest.approx(squared.intensity(), abs=1e-3 * float(squared.intensity().max()))


@pytest.mark.parametrize("shape", [(31, 31), (30, 31), (21, 40), (40, 21), (33, 24)])
def test_any_window_becomes_an_even_square_around_the_beam(tmp_path: Path, shape: tuple[int, int]) -> None:
    y, x = np.indices(shape)
    intensity = np.exp(-((y - shape[0] // 2) ** 2 + (x - shape[1] // 2 - 1) ** 2) / (2 * 2.5**2))
    probe = read_probe(_written(tmp_path / "probe.h5", intensity=intensity))
    side = max(shape) + max(shape) % 2
    assert probe.modes.shape == (1, side, side)
    centre = np.arange(side) - side // 2
    expected = np.exp(-(centre[:, None] ** 2 + centre**2) / (2 * 2.5**2))
    assert probe.intensity() == pytest.approx(expected / expected.sum(), abs=1e-5)


def test_the_attribute_of_the_dataset_comes_before_that_of_the_root(tmp_path: Path) -> None:
    path = _written(tmp_path / "probe.h5", {"pixel_nm": 1.0}, intensity=np.outer(np.hanning(9), np.hanning(9)))
    with h5py.File(path, "r+") as file:
        file["intensity"].attrs["pixel_nm"] = 5.0
    assert read_probe(path).pixel_size_nm == 5.0


def test_a_probe_of_ours_comes_back_as_it_was(tmp_path: Path, zone_plate: Probe) -> None:
    save_probe(tmp_path / "probe.npz", zone_plate)
    assert read_probe(tmp_path / "probe.npz") == zone_plate


def test_a_probe_may_be_larger_than_the_map(tmp_path: Path, zone_plate: Probe) -> None:
    probe = read_probe(_written(tmp_path / "probe.h5", intensity=zone_plate.intensity()))
    counts = np.random.default_rng(0).poisson(100, (5, 3))
    for model in ("lmmse", "bicubic"):
        fine = enhance({"Zn": counts}, probe=probe, step_nm=30, pixel_nm=7.5, model=model)
        assert fine.values.shape == (1, 20, 12)
        assert np.isfinite(fine.values).all()
        assert fine.values.mean() == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(
    ("attributes", "datasets", "words"),
    [
        ({}, {"intensity": np.eye(8)}, "how large a pixel of /intensity is: pass --probe-pixel-nm"),
        ({"pixel_nm": 0.0}, {"intensity": np.eye(8)}, "one positive number"),
        ({"pixel_nm": "7.5 nm"}, {"intensity": np.eye(8)}, "one positive number"),
        (None, {"beam": np.eye(8)}, "there is no probe (amplitude, intensity, "),
        (None, {"intensity": -np.eye(8)}, "never negative"),
        (None, {"intensity": np.zeros((8, 8))}, "/intensity holds nothing but zeros"),
        (None, {"intensity": np.full((8, 8), np.nan)}, "64 pixels that are no numbers"),
        (None, {"intensity": np.ones(8)}, "(y, x) or (mode, y, x) is needed"),
        (None, {"intensity": "bright"}, "real numbers are needed"),
        (None, {"amplitude": np.eye(8, dtype=complex)}, "real numbers are needed"),
        (None, {"amplitude": np.eye(8), "phase": np.eye(6)}, "they must be the same"),
    ],
)
def test_what_is_no_probe_is_refused_by_name(
    tmp_path: Path, attributes: dict[str, Any] | None, datasets: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputFileError) as refused:
        read_probe(_written(tmp_path / "probe.h5", attributes, **datasets))
    assert words in str(refused.value)
    assert "probe.h5" in str(refused.value)


@pytest.mark.parametrize("name", ["probe.h5", "probe.npz"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not a probe")
    with pytest.raises(InputFileError, match=name):
        read_probe(tmp_path / name)
    with pytest.raises(InputFileError, match=f"other-{name}"):
        read_probe(tmp_path / f"other-{name}")


def test_the_motion_that_a_probe_holds_is_read_and_can_be_told(tmp_path):
    probe = replace(gaussian_probe(fwhm_nm=40.0), moved_nm=30.0)
    save_probe(tmp_path / "probe.npz", probe)
    assert read_probe(tmp_path / "probe.npz") == probe
    assert read_probe(tmp_path / "probe.npz", moved_nm=0.0).moved_nm == 0
    with h5py.File(tmp_path / "probe.h5", "w") as file:
        file["intensity"] = probe.intensity()
        file.attrs["pixel_nm"], file.attrs["moved_nm"] = 7.5, 30.0
    assert read_probe(tmp_path / "probe.h5").moved_nm == 30.0
