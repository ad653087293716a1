import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Run = Callable[..., Any]
Image = NDArray[np.float32]

PIXEL_NM = 10.0


def _specimen(shape: tuple[int, ...]) -> Image:
    return np.asarray(100 * gaussian_filter(np.random.default_rng(1).normal(size=shape), 1.0), np.float32)


def _write(name: str, values: Image, **attributes: Any) -> None:
    with h5py.File(name, "w") as file:
        file["volume/Zn"] = values
        file["volume/Zn"].attrs["voxel_size_nm"] = PIXEL_NM
        file.attrs.update(attributes)


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a.h5 and b.h5, independent noise on one specimen, and truth.h5."""
    monkeypatch.chdir(tmp_path)

    def write(shape: tuple[int, ...] = (32, 32, 32), noise: float = 10.0, **attributes: Any) -> None:
        rng = np.random.default_rng(2)
        for name in ("a.h5", "b.h5"):
            noisy = _specimen(shape) + noise * rng.normal(size=shape)
            _write(name, noisy.astype(np.float32), input_sha256=name, **attributes)
        _write("truth.h5", _specimen(shape))

    return write


def _resolutions(done: Any, index: int = 0) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)["findings"][index]["resolutions"]
    return found


@pytest.mark.parametrize("shape", [(64, 64), (32, 32, 32)])
def test_noise_and_the_number_of_voxels_set_the_resolution(
    subprobe: Run, halves: Callable[..., None], shape: tuple[int, ...]
) -> None:
    halves(shape)
    fine = _resolutions(subprobe("resolution", "a.h5", "b.h5", "--json"))
    halves(shape, noise=30.0)
    coarse = _resolutions(subprobe("resolution", "a.h5", "b.h5", "--json"))
    assert fine["half_bit"]["crossed"]
    assert 2 * PIXEL_NM < fine["half_bit"]["period_nm"] < fine["one_bit"]["period_nm"]
    assert fine["half_bit"]["period_nm"] < coarse["half_bit"]["period_nm"]


def test_without_a_crossing_the_sampling_is_named_and_not_a_resolution(
    subprobe: Run, halves: Callable[..., None]
) -> None:
    halves(noise=1e-3)
    done = subprobe("resolution", "a.h5", "b.h5")
    assert "<= 20 nm (Nyquist: two pixels), 0.5-bit" in done.out
    assert "1/7" in done.out


def test_truth_is_judged_at_one_half(subprobe: Run, halves: Callable[..., None]) -> None:
    halves()
    done = subprobe("resolution", "a.h5", "--truth", "truth.h5", "--json")
    assert set(_resolutions(done)) == {"one_half"}
    assert _resolutions(done)["one_half"]["crossed"]
    assert json.loads(done.out)["findings"][0]["relative_error"] > 0.1


def test_a_soft_mask_leaves_fewer_independent_voxels(subprobe: Run, halves: Callable[..., None]) -> None:
    halves()
    shares = []
    for mask in ("soft", "none"):
        done = subprobe("resolution", "a.h5", "b.h5", "--json", "--mask", mask)
        shares.append(json.loads(done.out)["findings"][0]["n_eff_factor"])
    assert 0.3 < shares[0] < 0.8
    assert shares[1] == 1


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"model": "unrolled"}, "overstates the resolution"), ({"input_sha256": "one"}, "made from the same projections")],
)
def test_what_is_no_independent_half_is_said_so(
    subprobe: Run, halves: Callable[..., None], attributes: dict[str, str], words: str
) -> None:
    halves()
    assert not subprobe("resolution", "a.h5", "b.h5").err
    for name in ("a.h5", "b.h5"):
        with h5py.File(name, "r+") as file:
            file.attrs.update(attributes)
    assert words in " ".join(subprobe("resolution", "a.h5", "b.h5").err.split())


def test_halves_of_one_file_are_halves(subprobe: Run, halves: Callable[..., None]) -> None:
    halves()
    for name, half in (("a.h5", "even"), ("b.h5", "odd")):
        with h5py.File(name, "r+") as file:
            file.attrs.update({"input_sha256": "one", "half": half})
    assert not subprobe("resolution", "a.h5", "b.h5").err


def test_a_file_against_itself_says_so(subprobe: Run, halves: Callable[..., None]) -> None:
    halves()
    done = subprobe("resolution", "a.h5", "a.h5")
    assert "the same in both files" in " ".join(done.err.split())


def test_thin_volumes_are_compared_slice_by_slice(subprobe: Run, halves: Callable[..., None]) -> None:
    halves((64, 2, 64))
    refused = subprobe("resolution", "a.h5", "b.h5")
    assert refused.code == 2
    assert "--slice" in refused.err
    done = subprobe("resolution", "a.h5", "b.h5", "--slice", 1, "--png", "frc.png")
    assert done.code == 0
    assert "/volume/Zn[:, 1, :]  FRC" in done.out
    assert Path("frc.png").read_bytes().startswith(b"\x89PNG")


def _no_size(file: Any) -> None:
    del file["volume/Zn"].attrs["voxel_size_nm"]


def _other_size(file: Any) -> None:
    file["volume/Zn"].attrs["voxel_size_nm"] = 11.0


def _other_shape(file: Any) -> None:
    size = file["volume/Zn"].attrs["voxel_size_nm"]
    del file["volume/Zn"]
    file["volume/Zn"] = np.ones((32, 32, 30))
    file["volume/Zn"].attrs["voxel_size_nm"] = size


def _not_finite(file: Any) -> None:
    file["volume/Zn"][0, 0, 0] = np.nan


def _elsewhere(file: Any) -> None:
    file.move("volume", "density")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_size, "pass --pixel-nm"),
        (_other_size, "10 nm in one file and 11 nm in the other"),
        (_other_shape, "must stand on one grid"),
        (_not_finite, "/volume/Zn of b.h5 has values that are not finite"),
        (_elsewhere, "no dataset /volume/Zn"),
    ],
)
def test_files_that_do_not_fit_cost_one_clear_line(
    subprobe: Run, halves: Callable[..., None], spoil: Callable[[Any], None], words: str
) -> None:
    halves()
    for name in ("b.h5",) if spoil is not _no_size else ("a.h5", "b.h5"):
        with h5py.File(name, "r+") as file:
            spoil(file)
    done = subprobe("resolution", "a.h5", "b.h5")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_one_file_alone_needs_the_truth(subprobe: Run, halves: Callable[..., None]) -> None:
    halves()
    done = subprobe("resolution", "a.h5")
    assert done.code == 2
    assert "--truth" in done.err
