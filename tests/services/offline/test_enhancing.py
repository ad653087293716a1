import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.probe import Probe, save_probe
from models.superres.enhance import enhance as enhance_in_python
from models.superres.enhancers import make_enhancer
from services.offline.map_files import PRODUCTS, appearing

ROWS, POINTS = 10, 12

Run = Callable[..., Any]
Counts = dict[str, NDArray[np.uint32]]


def _read(path: Path = Path("fine.h5")) -> dict[str, NDArray[np.float32]]:
    with h5py.File(path) as file:
        return {f"{group}/{element}": file[group][element][()] for group in file for element in file[group]}


def test_the_file_holds_what_python_gives(enhance: Run, probe: Probe, counts: Counts) -> None:
    done = enhance()
    assert done.code == 0, done.err
    expected = enhance_in_python(counts, probe=probe, step_nm=30, pixel_nm=7.5)
    written = _read()
    for index, element in enumerate(expected.elements):
        assert written[f"enhanced/{element}"] == pytest.approx(expected.values[index], rel=1e-4, abs=1e-3)
        assert written[f"sigma/{element}"] == pytest.approx(expected.sigma[index], rel=1e-4)
        assert written[f"consistency/{element}"] == pytest.approx(expected.consistency[index], rel=1e-3)


def test_every_map_has_its_grid_and_unit(enhance: Run, maps_file: Path) -> None:
    with h5py.File(maps_file, "r+") as file:
        file["maps/Mn"].attrs["units"] = "photons"
    assert enhance().code == 0
    with h5py.File("fine.h5") as file:
        assert set(file) == set(PRODUCTS)
        assert file["enhanced/Zn"].shape == file["sigma/Zn"].shape == (4 * ROWS, 4 * POINTS)
        assert file["consistency/Zn"].shape == (ROWS, POINTS)
        assert file["enhanced/Zn"].attrs["pixel_nm"] == 7.5
        assert file["consistency/Zn"].attrs["pixel_nm"] == 30
        assert file["enhanced/Zn"].attrs["units"] == file["sigma/Zn"].attrs["units"] == "counts"
        assert file["sigma/Mn"].attrs["units"] == "photons"
        assert file["consistency/Mn"].attrs["units"] == "chi^2 per point"


def test_the_root_tells_what_made_the_maps(enhance: Run, maps_file: Path, probe: Probe) -> None:
    assert enhance("--scan", "step", "--model", "bicubic").code == 0
    with h5py.File("fine.h5") as file:
        lineage = dict(file.attrs)
    assert lineage["input_file"] == "scan.h5"
    assert lineage["input_sha256"] == hashlib.sha256(maps_file.read_bytes()).hexdigest()
    assert (lineage["probe_file"], len(lineage["probe_digest"])) == ("probe.h5", len(probe.digest))
    assert (lineage["model"], lineage["model_digest"]) == ("bicubic", make_enhancer("bicubic").digest)
    assert (lineage["step_nm"], lineage["pixel_nm"], lineage["scan"]) == (30, 7.5, "step")
    assert json.loads(lineage["software"])["numpy"] == np.__version__
    assert datetime.fromisoformat(lineage["created"]).tzinfo is not None


def test_the_digest_of_the_probe_is_that_of_the_catalogue(enhance: Run, probe: Probe, tmp_path: Path) -> None:
    save_probe(tmp_path / "probe.npz", probe)
    assert enhance(probe=tmp_path / "probe.npz").code == 0
    with h5py.File("fine.h5") as file:
        assert file.attrs["probe_digest"] == probe.digest


def test_the_motion_of_the_scan_matters(enhance: Run) -> None:
    assert enhance("--scan", "fly").code == enhance("--scan", "step", "--out", "step.h5").code == 0
    assert not np.allclose(_read()["enhanced/Mn"], _read(Path("step.h5"))["enhanced/Mn"], rtol=1e-3)


def test_what_stands_under_the_mask_is_never_read(enhance: Run, maps_file: Path) -> None:
    mask = np.ones((ROWS, POINTS), np.uint8)
    mask[4:6, 7] = 0
    results = []
    for inside in (0, 60_000):
        with h5py.File(maps_file, "r+") as file:
            file.pop("mask", None)
            file["mask"] = mask
            values = file["maps/Zn"][()]
            values[4:6, 7] = inside
            file["maps/Zn"][...] = values
        assert enhance("--overwrite").code == 0
        results.append(_read())
    np.testing.assert_array_equal(results[0]["enhanced/Zn"], results[1]["enhanced/Zn"])
    assert np.isnan(results[0]["consistency/Zn"][4:6, 7]).all()


def test_a_given_variance_is_used(enhance: Run, maps_file: Path) -> None:
    assert enhance().code == 0
    with h5py.File(maps_file, "r+") as file:
        file["variance/Zn"] = 9.0 * np.maximum(file["maps/Zn"][()], 1)
    assert enhance("--out", "noisier.h5").code == 0
    poisson, noisier = _read(), _read(Path("noisier.h5"))
    assert np.median(noisier["consistency/Zn"]) < 0.5 * np.median(poisson["consistency/Zn"])
    np.testing.assert_array_equal(noisier["enhanced/Mn"], poisson["enhanced/Mn"])


def test_an_element_measured_nowhere_does_not_stop_the_others(enhance: Run, maps_file: Path) -> None:
    with h5py.File(maps_file, "r+") as file:
        file["maps/Fe"] = np.full((ROWS, POINTS), np.nan)
    done = enhance("--png", "fine.png")
    assert done.code == 0
    assert "warning: Fe was measured nowhere" in done.err
    written = _read()
    assert np.isfinite(written["enhanced/Zn"]).all()
    for group in PRODUCTS:
        assert written[f"{group}/Fe"].shape == written[f"{group}/Zn"].shape
        assert np.isnan(written[f"{group}/Fe"]).all()


def test_each_element_has_a_line(enhance: Run) -> None:
    lines = enhance().out.splitlines()
    assert [line.split()[0] for line in lines] == ["Mn", "Zn", "wrote"]
    assert "10 x 12 -> 40 x 48" in lines[0]


def test_a_step_may_be_one_pixel(enhance: Run) -> None:
    assert enhance(pixel_nm=30).code == 0
    assert _read()["enhanced/Zn"].shape == (ROWS, POINTS)


def test_a_file_that_exists_is_kept_unless_told_otherwise(enhance: Run) -> None:
    Path("fine.h5").write_text("of my thesis")
    refused = enhance()
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert Path("fine.h5").read_text() == "of my thesis"
    assert enhance("--overwrite").code == 0
    assert "enhanced/Zn" in _read()


@pytest.mark.parametrize("options", [("--out", "scan.h5"), ("--png", "probe.h5"), ("--png", "fine.h5")])
def test_inputs_are_never_overwritten(enhance: Run, maps_file: Path, options: tuple[str, str]) -> None:
    before = maps_file.read_bytes()
    done = enhance(*options, "--overwrite")
    assert done.code == 2
    assert "choose another name" in done.err
    assert maps_file.read_bytes() == before


def _without_maps(file: Any) -> None:
    file.move("maps", "counts")


def _empty(file: Any) -> None:
    del file["maps/Zn"], file["maps/Mn"]


def _other_shape(file: Any) -> None:
    del file["maps/Zn"]
    file["maps/Zn"] = np.ones((ROWS, POINTS + 1))


def _all_nan(file: Any) -> None:
    for element in ("Zn", "Mn"):
        del file[f"maps/{element}"]
        file[f"maps/{element}"] = np.full((ROWS, POINTS), np.nan)


def _text(file: Any) -> None:
    del file["maps/Zn"]
    file["maps/Zn"] = "many counts"


def _complex(file: Any) -> None:
    del file["maps/Zn"]
    file["maps/Zn"] = np.ones((ROWS, POINTS), complex)


def _stack(file: Any) -> None:
    for element in ("Zn", "Mn"):
        del file[f"maps/{element}"]
        file[f"maps/{element}"] = np.ones((3, ROWS, POINTS))


def _negative_variance(file: Any) -> None:
    file["variance/Zn"] = np.full((ROWS, POINTS), -1.0)


def _variance_of_a_stranger(file: Any) -> None:
    file["variance/zn"] = np.ones((ROWS, POINTS))


def _mask_of_other_shape(file: Any) -> None:
    file["mask"] = np.ones((ROWS, 1))


def _group_in_maps(file: Any) -> None:
    file.create_group("maps/Fe")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_maps, "no group /maps with a dataset for each element; the file holds /counts"),
        (_empty, "there are no maps"),
        (_other_shape, "the map of Zn has shape (10, 13), the first map (10, 12)"),
        (_all_nan, "no point of Mn, Zn was measured"),
        (_text, "maps/Zn has type object"),
        (_complex, "maps/Zn has type complex128"),
        (_stack, "(3, 10, 12): (y, x) is needed"),
        (_negative_variance, "variance of Zn is negative at 120 points"),
        (_variance_of_a_stranger, "a variance of zn, but there are maps only of Mn, Zn"),
        (_mask_of_other_shape, "the mask has shape (10, 1)"),
        (_group_in_maps, "no dataset maps/Fe"),
    ],
)
def test_bad_maps_cost_one_clear_line(enhance: Run, maps_file: Path, spoil: Callable[[Any], None], words: str) -> None:
    with h5py.File(maps_file, "r+") as file:
        spoil(file)
    done = enhance("--png", "fine.png")
    assert done.code == 2
    assert words in done.err
    assert "scan.h5" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(Path().glob("fine*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--pixel-nm", "7"), "pass pixel_nm 7.5"),
        (("--pixel-nm", "60"), "pass pixel_nm 30"),
        (("--step-nm", "-30"), "step_nm is -30.0"),
        (("--model", "magic"), "choose one of bicubic, dual_branch_small, least-squares, lmmse"),
        (("--device", "gpu"), "pass cpu, cuda or cuda:1"),
        (("--out", "none/fine.h5"), "no folder none"),
    ],
)
def test_an_option_that_makes_no_sense_costs_one_line(enhance: Run, options: tuple[str, str], words: str) -> None:
    done = enhance(*options)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(Path().rglob("fine*"))


def test_a_bad_probe_costs_one_clear_line(enhance: Run, probe_file: Path) -> None:
    with h5py.File(probe_file, "r+") as file:
        del file.attrs["pixel_nm"]
    done = enhance()
    assert done.code == 2
    assert "probe.h5: the file does not say how large a pixel of /amplitude is: pass --probe-pixel-nm" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(Path().glob("fine*"))


@pytest.mark.parametrize("content", [b"", b"Zn,1,2,3\n", None])
def test_a_file_that_is_no_hdf5_is_named(enhance: Run, maps_file: Path, content: bytes | None) -> None:
    maps_file.write_bytes(maps_file.read_bytes()[:600] if content is None else content)
    done = enhance()
    assert done.code == 2
    assert "scan.h5" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(Path().glob("fine*"))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "fine.h5"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        _stopped_half_way(path)
    assert path.read_text() == "before"
    with appearing(path) as partial:
        partial.write_text("whole")
        assert path.read_text() == "before"
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def _stopped_half_way(path: Path) -> None:
    with appearing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def test_the_pixel_of_a_probe_may_be_an_option(enhance: Run, probe_file: Path, probe: Probe) -> None:
    with h5py.File(probe_file, "r+") as file:
        del file.attrs["pixel_nm"]
    assert enhance("--probe-pixel-nm", probe.pixel_size_nm).code == 0
    with h5py.File("fine.h5") as file:
        assert (file.attrs["probe_pixel_nm"], file.attrs["probe_digest"]) == (probe.pixel_size_nm, probe.digest)
