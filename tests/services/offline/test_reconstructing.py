import hashlib
import json
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS
from models.tomo.alignment_shift import shifted
from services.offline.memory import available_bytes

Run = Callable[..., Any]
Stack = NDArray[np.float32]

CENTRE_PX = 12.6
PIXEL_NM = 40.0
ANGLES_DEG = np.arange(31) * 180 / 31
SHAPE = (10, 24)  # (y, x)
_BALLS = (((0.06, 0.0, -0.1), 0.12, 3.0), ((-0.14, 0.05, 0.08), 0.08, 1.0), ((0.02, -0.1, 0.2), 0.06, 2.0))
"""(x, y, z) from the axis in um, standard deviation in um, peak in g/cm^3; smooth, so that pixels sample them well."""


def _projections() -> Stack:
    """Gaussian balls in ug/cm^2, in closed form."""
    y, u = ((np.arange(n) + 0.5 - middle) * PIXEL_NM / 1000 for n, middle in zip(SHAPE, (5, CENTRE_PX), strict=True))
    total = np.zeros((len(ANGLES_DEG), *SHAPE))
    for (x0, y0, z0), sigma, peak in _BALLS:
        at = x0 * np.cos(np.deg2rad(ANGLES_DEG)) + z0 * np.sin(np.deg2rad(ANGLES_DEG))
        squares = (y - y0)[None, :, None] ** 2 + (u - at[:, None])[:, None, :] ** 2
        total += peak * 100 * sigma * np.sqrt(2 * np.pi) * np.exp(-squares / (2 * sigma**2))
    return total.astype(np.float32)


def _truth() -> Stack:
    """(z, y, x) in g/cm^3 about the axis."""
    x, y = ((np.arange(n) + 0.5 - n / 2) * PIXEL_NM / 1000 for n in (SHAPE[1], SHAPE[0]))
    total = np.zeros((SHAPE[1], *SHAPE))
    for (x0, y0, z0), sigma, peak in _BALLS:
        squares = (x - z0)[:, None, None] ** 2 + (y - y0)[:, None] ** 2 + (x - x0) ** 2
        total += peak * np.exp(-squares / (2 * sigma**2))
    return total.astype(np.float32)


@pytest.fixture
def series_file(tmp_path: Path) -> Path:
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        file.attrs["pixel_nm"] = PIXEL_NM
        file["projections/Zn"] = _projections()
        file["projections/Zn"].attrs["units"] = "ug/cm^2"
        file["projections/Mn"] = 3 * _projections()
        file["angles_deg"] = ANGLES_DEG
    return path


@pytest.fixture
def reconstruct(subprobe: Run, series_file: Path) -> Run:
    """On in.h5 to out.h5; further options are added."""
    return lambda *options: subprobe("reconstruct", series_file, "--out", "out.h5", *options)


def _volume(element: str = "Zn", path: str = "out.h5") -> Stack:
    with h5py.File(path) as file:
        return np.asarray(file["volume"][element])


def _attributes(element: str = "Zn") -> dict[str, Any]:
    with h5py.File("out.h5") as file:
        return dict(file["volume"][element].attrs)


def test_the_volume_is_the_specimen_in_its_unit_and_place(reconstruct: Run) -> None:
    done = reconstruct("--png", "out.png")
    assert done.code == 0, done.err
    error = np.linalg.norm(_volume() - _truth()) / np.linalg.norm(_truth())
    assert error < 0.1
    attributes = _attributes()
    assert (attributes["units"], attributes["voxel_size_nm"]) == ("g/cm^3", PIXEL_NM)
    assert attributes["centre_px"] == pytest.approx(CENTRE_PX, abs=0.1)
    assert 0 < attributes["centre_sigma_px"] < 0.5
    assert attributes["centre_method"]
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_every_parameter_stands_beside_the_volume_as_it_was_used(reconstruct: Run) -> None:
    options = ("--algorithm", "ospml_hybrid", "--iterations", 3, "--subsets", 4, "--beta", 0.5, "--center", CENTRE_PX)
    assert reconstruct(*options, "--engine", "torch").code == 0
    attributes = _attributes()
    used = {name: attributes[name] for name in ("algorithm", "n_iterations", "n_subsets", "beta", "engine")}
    expected = {"algorithm": "ospml_hybrid", "n_iterations": 3, "n_subsets": 4, "beta": 0.5, "engine": "torch"}
    assert used == expected
    assert attributes["delta"] > 0
    assert (attributes["chosen_from_data"], attributes["centre_method"]) == ("delta", "given")
    with h5py.File("out.h5") as file:
        assert file["history/Zn/misfit"].shape == file["history/Zn/objective"].shape == (3,)


def test_the_file_holds_what_python_gives(reconstruct: Run) -> None:
    options = ("--algorithm", "osem", "--iterations", 2, "--subsets", 3, "--engine", "torch", "--center", CENTRE_PX)
    assert reconstruct(*options).code == 0
    settings: dict[str, Any] = {"n_iterations": 2, "n_subsets": 3, "engine": "torch"}
    python = ALGORITHMS["osem"].reconstruct(_projections(), ANGLES_DEG, CENTRE_PX, PIXEL_NM, **settings)
    np.testing.assert_allclose(_volume(), python, rtol=1e-5, atol=1e-6)


def test_projections_without_a_unit_stay_in_their_own(reconstruct: Run) -> None:
    assert reconstruct("--algorithm", "fbp", "--center", CENTRE_PX).code == 0
    assert _attributes("Mn")["units"] == "per pixel"
    np.testing.assert_allclose(_volume("Mn"), 3 * _volume() * PIXEL_NM / 10, rtol=1e-4, atol=1e-4)


def test_the_root_tells_where_it_came_from(reconstruct: Run, series_file: Path) -> None:
    assert reconstruct("--algorithm", "fbp", "--center", "12", "--element", "Mn").code == 0
    with h5py.File("out.h5") as file:
        lineage = dict(file.attrs)
        assert list(file["volume"]) == ["Mn"]
    assert lineage["input_sha256"] == hashlib.sha256(series_file.read_bytes()).hexdigest()
    assert json.loads(lineage["software"])["numpy"] == np.__version__
    assert datetime.fromisoformat(lineage["started"]) <= datetime.fromisoformat(lineage["created"])


def test_what_was_not_measured_does_no_harm(reconstruct: Run, series_file: Path) -> None:
    with h5py.File(series_file, "r+") as file:
        values = file["projections/Zn"][()]
        values[3, 4:6, 10:14], values[7] = np.nan, np.nan
        file["projections/Zn"][...] = values
        file["projections/Fe"] = np.full_like(values, np.nan)
    done = reconstruct("--center", CENTRE_PX, "--engine", "torch", "--iterations", 5)
    assert done.code == 0, done.err
    assert "1 projections are left out" in done.err
    assert "Fe was measured nowhere" in " ".join(done.err.split())
    assert np.linalg.norm(_volume() - _truth()) < 0.15 * np.linalg.norm(_truth())
    assert np.isnan(_volume("Fe")).all()
    assert (_attributes()["n_angles"], _attributes()["unmeasured_pixels"]) == (30, 8)


def test_shifts_are_found_written_and_undone(subprobe: Run, series_file: Path) -> None:
    rng = np.random.default_rng(5)
    y, x = rng.uniform(-1, 1, (2, len(ANGLES_DEG)))
    padded = np.pad(_projections(), ((0, 0), (4, 4), (0, 0)))
    with h5py.File(series_file, "w") as file:
        file["projections/Zn"] = np.nan_to_num(shifted(padded, y, x))
        file["angles_deg"] = ANGLES_DEG
    done = subprobe("reconstruct", series_file, "--out", "out.h5", "--align", "--algorithm", "fbp")
    assert done.code == 0, done.err
    with h5py.File("out.h5") as file:
        found = file["shifts/y_px"][()]
        assert file["shifts/x_px"].shape == (len(ANGLES_DEG),)
    assert np.std(found + y - (found + y).mean()) < 0.15
    assert _attributes()["aligned"]


def test_halves_hold_every_other_angle(reconstruct: Run) -> None:
    used = []
    for half in ("even", "odd"):
        assert reconstruct("--half", half, "--overwrite", "--algorithm", "fbp", "--center", CENTRE_PX).code == 0
        with h5py.File("out.h5") as file:
            used.append(set(range(len(ANGLES_DEG))) - set(file.attrs["excluded_angles"].tolist()))
            assert file.attrs["half"] == half
    assert used[0] | used[1] == set(range(len(ANGLES_DEG)))
    assert not used[0] & used[1]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_leaves_no_file(reconstruct: Run, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    class Interrupted:
        """Stopped by the user in mid-run."""

        name, description, capabilities = "interrupted", "", ALGORITHMS["fbp"].capabilities

        def reconstruct(self, *_data: Any, progress: Any, cancelled: Any = None, account: Any) -> Stack:  # noqa: ARG002
            signal.raise_signal(stop)
            raise AssertionError("it went on")

    monkeypatch.setitem(ALGORITHMS, "interrupted", Interrupted())  # type: ignore[arg-type]
    done = reconstruct("--algorithm", "interrupted", "--center", CENTRE_PX)
    assert done.code == 130
    assert not list(Path().glob("out*"))


def test_more_memory_than_there_is_is_refused_with_the_figure(subprobe: Run, series_file: Path) -> None:
    available = available_bytes()
    if available is None:
        pytest.skip("nothing tells the memory of this machine")
    rows = available // (12 * 31 * 24) + 1
    with h5py.File(series_file, "w") as file:
        file.create_dataset("projections/Zn", (31, rows, 24), np.float32, chunks=(1, 1024, 24))  # takes no room
        file["angles_deg"] = ANGLES_DEG
    done = subprobe("reconstruct", series_file, "--out", "out.h5")
    assert done.code == 2
    assert "GB are available" in done.err
    assert "--force" in done.err


def _no_projections(file: Any) -> None:
    file.move("projections", "maps")


def _no_angles(file: Any) -> None:
    del file["angles_deg"]


def _angle_missing(file: Any) -> None:
    del file["angles_deg"]
    file["angles_deg"] = ANGLES_DEG[1:]


def _angle_unknown(file: Any) -> None:
    file["angles_deg"][4] = np.nan


def _one_image(file: Any) -> None:
    del file["projections/Zn"], file["projections/Mn"]
    file["projections/Zn"] = np.ones(SHAPE)


def _other_grid(file: Any) -> None:
    del file["projections/Zn"]
    file["projections/Zn"] = np.ones((31, 9, 24))


def _all_nan(file: Any) -> None:
    for element in ("Zn", "Mn"):
        file["projections"][element][...] = np.nan


def _negative_pixel(file: Any) -> None:
    file.attrs["pixel_nm"] = -3.0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_projections, "no group /projections"),
        (_no_angles, "no dataset angles_deg"),
        (_angle_missing, "/angles_deg has shape (30,) for 31 projections"),
        (_angle_unknown, "/angles_deg has 1 entries that are no numbers"),
        (_one_image, "real numbers (angle, y, x) are needed"),
        (_other_grid, "must stand on one grid"),
        (_all_nan, "no pixel of Mn, Zn was measured"),
        (_negative_pixel, "one positive number"),
    ],
)
def test_bad_input_costs_one_clear_line(
    reconstruct: Run, series_file: Path, spoil: Callable[[Any], None], words: str
) -> None:
    with h5py.File(series_file, "r+") as file:
        spoil(file)
    done = reconstruct("--png", "out.png")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(Path().glob("out*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--algorithm", "magic"), "choose one of fbp, ospml_hybrid"),
        (("--engine", "steam"), "'numba'"),
        (("--order", "random"), "'interleaved' or 'sequential'"),
        (("--algorithm", "sirt", "--order", "sequential"), "sirt takes no --order"),
        (("--algorithm", "fbp", "--iterations", 3), "fbp takes no --iterations: its options are --window, --cutoff"),
        (("--algorithm", "osem", "--beta", 1), "osem takes no --beta"),
        (("--beta", -1), "greater than or equal to 0"),
        (("--subsets", 40), "40 subsets of 31 angles"),
        (("--center", 99), "pass edge coordinates from 0 to 24"),
        (("--center", "middle"), "pass auto, refine or a number of pixels"),
        (("--element", "Au"), "no projections of Au: there are those of Mn, Zn"),
        (("--align-on", "Au"), "--align-on Au is none of"),
        (("--reproject-to", 60), "leave out --reproject-to"),
        (("--pixel-nm", 0), "pass a positive size"),
        (("--out", "in.h5", "--overwrite"), "choose another name"),
        (("--out", "none/out.h5"), "no folder none"),
        (("--source", "fitted"), "is a file: leave out --source"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(reconstruct: Run, options: tuple[Any, ...], words: str) -> None:
    done = reconstruct(*options)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())
    assert not list(Path().glob("out*"))


def test_a_file_that_is_not_there_is_no_series(subprobe: Run) -> None:
    done = subprobe("reconstruct", "absent.h5", "--out", "out.h5")
    assert done.code == 2
    assert "there is no file absent.h5" in done.err


def test_a_series_takes_no_options_of_files(subprobe: Run) -> None:
    done = subprobe("reconstruct", "12-cathode", "--out", "out.h5")
    assert done.code == 2
    assert "leave out --out" in " ".join(done.err.replace("│", " ").split())
