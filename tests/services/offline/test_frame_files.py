"""Frames are read from every layout that is promised, and what is missing is named."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from models.physics.photon import J_PER_KEV, wavelength_nm
from services.offline.frame_files import read_frames
from services.offline.hdf5 import InputFileError

N, POINTS = 8, 25
PIXEL_NM = 10.0
DISTANCE_M = 0.5
PITCH_UM = wavelength_nm(10.0) * DISTANCE_M * 1e6 / (N * PIXEL_NM)
POSITIONS_PX = np.random.default_rng(0).uniform(0, 30, (POINTS, 2))


def counts() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Bright in the middle."""
    y, x = np.mgrid[:N, :N] - N // 2
    mean = 100 * np.exp(-(y**2 + x**2) / 4)
    return np.random.default_rng(1).poisson(mean, (POINTS, N, N)).astype(np.uint32)


def ours(path: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {"frames": counts(), "positions_px": POSITIONS_PX, **changes}
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file[name] = values
        file.attrs["pixel_nm"], file.attrs["energy_kev"] = PIXEL_NM, 10.0
    return path


def cxi(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"] = counts()
        detector["distance"] = DISTANCE_M
        detector["x_pixel_size"] = detector["y_pixel_size"] = PITCH_UM * 1e-6
        mask = np.zeros((N, N), np.uint32)
        mask[0, 3] = 1
        detector["mask"] = mask
        file["entry_1/instrument_1/source_1/energy"] = 10.0 * J_PER_KEV
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        y, x = POSITIONS_PX.T * PIXEL_NM * 1e-9
        file["entry_1/sample_1/geometry_1/translation"] = np.stack([x, y, 0 * y], 1)
    return path


def ptychodus(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["dp"] = counts()
        for column, axis in enumerate("yx"):
            file[f"probe_position_{axis}_m"] = POSITIONS_PX[:, column] * PIXEL_NM * 1e-9
        file["object"] = np.ones((1, 40, 40), np.complex64)
        file["object"].attrs["pixel_height_m"] = PIXEL_NM * 1e-9
        file.attrs["probe_energy_eV"] = 1e4
    return path


def hxn(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["diffamp"] = np.fft.fftshift(np.sqrt(counts()), axes=(1, 2))
        file["points"] = POSITIONS_PX.T[::-1] * PIXEL_NM / 1000
        file["lambda_nm"], file["z_m"], file["ccd_pixel_um"] = wavelength_nm(10.0), DISTANCE_M, PITCH_UM
    return path


@pytest.mark.parametrize("write", [ours, cxi, ptychodus, hxn])
def test_every_layout_gives_the_same_frames(write: Any, tmp_path: Path) -> None:
    frames = read_frames(write(tmp_path / "scan.h5"), 4.0).frames
    seen = frames.seen()
    np.testing.assert_allclose(frames.counts[:, seen], counts()[:, seen], rtol=1e-6)
    np.testing.assert_allclose(frames.positions_px, POSITIONS_PX, rtol=1e-6)
    assert frames.pixel_size_nm == pytest.approx(PIXEL_NM)
    assert frames.energy_kev == pytest.approx(10.0)
    assert frames.fly_px == (0.0, 4.0)
    assert (~seen).sum() == (1 if write is cxi else 0)


@pytest.mark.parametrize(("unit", "nm"), [("nm", 1.0), ("um", 1e3), ("m", 1e9)])
def test_positions_stand_in_any_unit(unit: str, nm: float, tmp_path: Path) -> None:
    given = {"positions_px": None, f"positions_{unit}": POSITIONS_PX * PIXEL_NM / nm}
    frames = read_frames(ours(tmp_path / "scan.h5", **given), 0.0).frames
    np.testing.assert_allclose(frames.positions_px, POSITIONS_PX, rtol=1e-9)


def test_a_beam_in_the_corners_is_brought_to_the_middle(tmp_path: Path) -> None:
    mask = np.ones((N, N))
    mask[0, 0] = 0
    path = ours(tmp_path / "scan.h5", frames=np.fft.ifftshift(counts(), axes=(1, 2)), mask=mask)
    frames = read_frames(path, 0.0).frames
    assert np.unravel_index(frames.counts.sum(0).argmax(), (N, N)) != (0, 0)
    assert not frames.seen()[N // 2, N // 2]


def test_pixels_that_a_detector_marks_are_masked(tmp_path: Path) -> None:
    marked = counts()
    marked[:, 2, 3] = np.iinfo(np.uint32).max
    assert not read_frames(ours(tmp_path / "scan.h5", frames=marked), 0.0).frames.seen()[2, 3]
    negative = counts().astype(float)
    negative[4, 1, 1], negative[5, 6, 6] = -1, np.nan
    seen = read_frames(ours(tmp_path / "other.h5", frames=negative), 0.0).frames.seen()
    assert not seen[1, 1]
    assert not seen[6, 6]
    assert seen.sum() == N * N - 2


def test_points_that_were_not_measured_are_left_out(tmp_path: Path) -> None:
    frames, positions = counts().astype(np.float32), POSITIONS_PX.copy()
    frames[3], frames[4], positions[7] = np.nan, 0, np.nan
    file = read_frames(ours(tmp_path / "scan.h5", frames=frames, positions_px=positions), 0.0)
    assert len(file.frames.counts) == POINTS - 3
    assert file.left_out == "3 of 25 points without a position or a count"
    assert file.frames.seen().all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames": None}, "there are no frames"),
        ({"positions_px": None}, "there are no positions"),
        ({"positions_px": POSITIONS_PX[:-1]}, r"\(point, 2\) are needed"),
        ({"positions_px": POSITIONS_PX * 1e-8}, "span .* pixels of the object"),
        ({"mask": np.ones((4, 4))}, "mask has shape"),
        ({"background": np.ones((4, 4))}, "background has shape"),
        ({"frames": np.ones((POINTS, N, N + 2))}, "even n is needed"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=says):
        read_frames(ours(tmp_path / "scan.h5", **changes), 0.0)


def test_a_pixel_or_an_energy_that_no_file_says_is_asked_for(tmp_path: Path) -> None:
    path = ours(tmp_path / "scan.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["pixel_nm"]
    with pytest.raises(InputFileError, match="--pixel-nm"):
        read_frames(path, 0.0)
    assert read_frames(path, 0.0, pixel_nm=7.0, energy_kev=9.0).frames.pixel_size_nm == 7.0
    with h5py.File(path, "a") as file:
        del file.attrs["energy_kev"]
    with pytest.raises(InputFileError, match="--energy-kev"):
        read_frames(path, 0.0, pixel_nm=7.0)


def test_something_else_is_no_file_of_frames(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("nothing")
    with pytest.raises(InputFileError, match="is no HDF5 file"):
        read_frames(tmp_path / "text.h5", 0.0)
