"""`subprobe singlepixel` as its user sees it."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import Result
from structured_runs import MeasuredStructure, measured_structure
from typer.testing import CliRunner

from models.physics.absorption import optical_depth
from services.cli import app

N, SIDE = 50, 16


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> MeasuredStructure:
    """50 patterns of 16 x 16 pixels of 200 nm."""
    return measured_structure(
        tmp_path_factory.mktemp("raw"), n_patterns=N, shape=(SIDE, SIDE), pixel_size_nm=200.0, n_images=1
    )


@pytest.fixture
def content(specimen: MeasuredStructure) -> dict[str, Any]:
    """Datasets of a file: Poisson counts of Co and Ni, and an image with 1.5 % of noise."""
    rng = np.random.default_rng(0)
    lines = np.einsum("nyx,eyx->en", specimen.true_patterns, specimen.true_maps[1:])
    depth = optical_depth(specimen.true_maps, specimen.start.elements, 9.0)
    counts = rng.poisson(1e5 * lines / lines.mean()).astype(float)
    return {
        "patterns": specimen.true_patterns,
        "counts/Co": counts[0],
        "counts/Ni": counts[1],
        "txm": depth + 0.015 * depth.max() * rng.normal(size=depth.shape),
    }


def written(path: Path, content: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["singlepixel", *arguments])


def test_a_file_of_patterns_becomes_maps_with_sigma(
    content: dict[str, Any], specimen: MeasuredStructure, tmp_path: Path
) -> None:
    scan, out, png = written(tmp_path / "scan.h5", content), tmp_path / "maps.h5", tmp_path / "maps.png"
    result = run(str(scan), "--out", str(out), "--png", str(png), "--phases", "LCO:Co=1", "--phases", "LNO:Ni=1")
    assert result.exit_code == 0, result.output
    assert "50 patterns of 16 x 16 pixels, sampling ratio 0.195, with a TXM image, counts of Co, Ni" in result.stdout
    assert png.read_bytes()[1:4] == b"PNG"
    with h5py.File(out) as file:
        for element, true in zip(("Co", "Ni"), specimen.true_maps[1:], strict=True):
            found, sigma = file[f"maps/{element}"][()], file[f"sigma/{element}"][()]
            assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.8
            assert np.all(sigma >= 0)
            assert sigma.any()
        assert file.attrs["requested"] == "auto"
        assert file.attrs["method"] != "auto"
        assert isinstance(json.loads(file.attrs["notes"]), list)
        assert set(json.loads(file.attrs["phase_fractions"])) == {"LCO", "LNO"}
        assert json.loads(file.attrs["software"])["subprobe"]
    again = run(str(scan), "--out", str(out))
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_a_network_draws_maps_on_as_many_pixels_as_are_asked_for(content: dict[str, Any], tmp_path: Path) -> None:
    scan, out = written(tmp_path / "scan.h5", content), tmp_path / "maps.h5"
    refused = run(str(scan), "--out", str(out), "--pixels", "32", "24")
    assert refused.exit_code == 2
    assert "only the networks siren, siren-simplex, siren-phase" in refused.stderr
    result = run(str(scan), "--out", str(out), "--pixels", "32", "24", "--method", "siren-simplex", "--no-sigma")
    assert result.exit_code == 0, result.output
    with h5py.File(out) as file:
        assert file["maps/Co"].shape == (32, 24)


def test_counts_and_patterns_that_are_missing_are_left_out_and_said(content: dict[str, Any], tmp_path: Path) -> None:
    content["counts/Co"][3] = np.nan
    content["patterns"] = content["patterns"].copy()
    content["patterns"][7] = np.nan
    scan, out = written(tmp_path / "scan.h5", content), tmp_path / "maps.h5"
    result = run(str(scan), "--out", str(out), "--no-sigma", "--method", "tv")
    assert result.exit_code == 0, result.output
    assert "2 of 50 measurements left out" in result.stderr
    with h5py.File(out) as file:
        assert file.attrs["n_patterns"] == 48
        assert np.isfinite(file["maps/Ni"][()]).all()


def test_one_pattern_gives_a_finite_map(content: dict[str, Any], tmp_path: Path) -> None:
    one = {name: values if name == "txm" else values[:1] for name, values in content.items()}
    out = tmp_path / "maps.h5"
    result = run(str(written(tmp_path / "scan.h5", one)), "--out", str(out))
    assert result.exit_code == 0, result.output
    with h5py.File(out) as file:
        assert np.isfinite(file["maps/Co"][()]).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"txm": np.ones((8, 8))}, "TXM image has (8, 8) pixels, the patterns (16, 16)"),
        ({"counts/Co": np.ones(N - 1)}, "counts of Co have shape (49,): (50,) is needed"),
        ({"counts/Co": np.full(N, np.nan)}, "none of 50 measurements"),
        ({"variances/Co": np.ones(N)}, "variances are of ['Co'], counts of ['Co', 'Ni']"),
        ({"variances/Co": np.ones(N), "variances/Ni": np.zeros(N)}, "variances of Ni go down to 0"),
        ({"patterns": np.ones((N, SIDE))}, "patterns have shape (50, 16)"),
        ({"patterns": None}, "there is no dataset patterns"),
        ({"counts/Co": None, "counts/Ni": None}, "no group /counts"),
    ],
)
def test_what_does_not_belong_together_costs_one_line(
    content: dict[str, Any], tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    changed = {name: values for name, values in (content | change).items() if values is not None}
    result = run(str(written(tmp_path / "scan.h5", changed)), "--out", str(tmp_path / "maps.h5"))
    assert result.exit_code == 2
    assert named in result.stderr.replace("\n", " ")
    assert not (tmp_path / "maps.h5").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--method", "magic"), "guided"), (("--phases", "LFP:Fe=1"), "names Fe")],
)
def test_a_wrong_option_costs_one_line(
    content: dict[str, Any], tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    scan = written(tmp_path / "scan.h5", content)
    result = run(str(scan), "--out", str(tmp_path / "maps.h5"), *options)
    assert result.exit_code == 2
    assert named in result.stderr
