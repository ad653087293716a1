"""`subprobe recover-probe` as its user sees it."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import Result
from simulated_ptychography import Simulated, registered, simulate
from typer.testing import CliRunner

from models.ptychography.engines import ENGINES
from models.ptychography.recover import RecoverySettings
from services.cli import app
from services.offline.probe_files import read_probe


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return simulate(side=11, n=32, step_px=3.0, fly_px=3.0, defocus_rad=2.5, seed=9)


@pytest.fixture(scope="module")
def scan(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ptychography") / "scan.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = simulated.frames.counts.astype(np.uint32)
        file["positions_px"] = simulated.frames.positions_px
        file.attrs["pixel_nm"], file.attrs["energy_kev"] = 10.0, 10.0
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recover-probe", *arguments])


def test_a_file_of_frames_becomes_the_probe_that_enhance_takes(
    scan: Path, simulated: Simulated, tmp_path: Path
) -> None:
    out, png = tmp_path / "probe.h5", tmp_path / "probe.png"
    result = run(str(scan), "--fly-px", "3", "--out", str(out), "--png", str(png), "--model", "coherent")
    assert result.exit_code == 0, result.output
    assert "121 frames of 32 x 32" in result.stdout
    assert "halves differ by" in result.stdout
    probe = read_probe(out)
    assert registered(probe.intensity().astype(np.float64), simulated.intensity)[0] > 0.998
    assert probe.pixel_size_nm == 10.0
    assert png.read_bytes()[1:4] == b"PNG"
    with h5py.File(out) as file:
        assert file.attrs["engine"] == "constrained"
        assert file.attrs["model"] == "coherent"
        assert file["kernel"][()].sum() == pytest.approx(1)
        assert bool(file.attrs["reliable"])
    again = run(str(scan), "--fly-px", "3", "--out", str(out))
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_a_weak_object_is_said_on_standard_error(tmp_path: Path) -> None:
    weak = simulate(side=7, n=32, step_px=3.0, fly_px=3.0, phase_rad=0.05, seed=7).frames
    path = tmp_path / "weak.h5"
    with h5py.File(path, "w") as file:
        file["frames"], file["positions_px"] = weak.counts, weak.positions_px
        file.attrs["pixel_nm"], file.attrs["energy_kev"] = 10.0, 10.0
    out = tmp_path / "probe.h5"
    result = run(str(path), "--fly-px", "3", "--out", str(out), "--model", "coherent", "--defocus", "3")
    assert result.exit_code == 0
    assert "the object is weak" in result.stderr
    with h5py.File(out) as file:
        assert not file.attrs["reliable"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engine", "magic"], "engine is 'magic': there are constrained, cdtools"),
        (["--model", "magic"], "model is 'magic': there are coherent, source, modes"),
        (["--device", "cuda:9"], "there is no device"),
        (["--fly-px", "-1"], "fly-px"),
    ],
)
def test_a_wrong_option_says_what_there_is(arguments: list[str], says: str, scan: Path, tmp_path: Path) -> None:
    result = run(str(scan), "--fly-px", "3", "--out", str(tmp_path / "probe.h5"), *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "probe.h5").exists()


def test_the_input_is_never_overwritten(scan: Path) -> None:
    result = run(str(scan), "--fly-px", "3", "--out", str(scan), "--overwrite")
    assert result.exit_code == 2
    assert "choose another name" in result.stderr


def test_cdtools_finds_the_same_probe(simulated: Simulated) -> None:
    pytest.importorskip("cdtools", reason="cdtools-py is not installed: pip install cdtools-py")
    settings = RecoverySettings(batch=6, models=("coherent",), defoci_rad=(3.0,))
    own, theirs = (engine(simulated.frames, settings, lambda _stage, _done: None) for engine in ENGINES.values())
    kernels = [found.probe.intensity().astype(np.float64) for found in (own, theirs)]
    assert registered(kernels[1], simulated.intensity)[0] > 0.998
    assert np.linalg.norm(kernels[0] - kernels[1]) < 0.05 * np.linalg.norm(kernels[0])
    background = replace(simulated.frames, background=np.ones((32, 32), np.float32))
    with pytest.raises(ValueError, match="takes no background"):
        ENGINES["cdtools"](background, settings, lambda _stage, _done: None)
