"""NeXus files out of the catalogue, by download and by command."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
import pytest

from services.catalog.client import Catalog
from services.catalog.products import read_stack
from services.catalog.volumes import read_volume
from services.cli import main
from services.reconstruction import nexus_routes

NO_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def export(
    reconstruction_tiled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run ``subprobe export`` to out.nxs; gives exit code and messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUBPROBE_TILED__URI", reconstruction_tiled.uri)
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", reconstruction_tiled.api_key)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["subprobe", "export", *arguments, "--out", "out.nxs"])
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return int(code or 0), capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def job(api: httpx.Client, series_key: str) -> dict[str, Any]:
    """One that succeeded."""
    asked = {"series": series_key, "source": "fitted", "elements": ["Zn"], "algorithm": "fbp", "fsc": False}
    queued = api.post("/reconstructions", json=asked).json()
    with api.stream("GET", f"/reconstructions/{queued['id']}/events") as events:
        events.read()  # they end with the job
    done: dict[str, Any] = api.get(f"/reconstructions/{queued['id']}").json()
    assert done["state"] == "succeeded", done["error"]
    return done


def test_a_series_is_downloaded_as_it_stands_in_tiled(
    api: httpx.Client, series_key: str, tiled_catalog: Catalog
) -> None:
    links = api.get(f"/series/{series_key}").json()["links"]
    answer = api.get(links["nexus"].removeprefix("/api/v1"), params={"source": "fitted", "element": "Mn"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{series_key}-fitted.nxs"'
    with h5py.File(io.BytesIO(answer.content)) as file:
        assert list(file) == ["Mn"]
        stack = file["Mn/data/data"][()]
        assert file["Mn/sample/rotation_angle"].shape == (8,)
        assert file["Mn/instrument/detector/x_pixel_size"][()] == 100.0
    np.testing.assert_array_equal(stack, read_stack(tiled_catalog, series_key, "fitted", "Mn"))


def test_only_angles_that_are_done_are_exported(api: httpx.Client, incomplete_series_key: str) -> None:
    content = api.get(f"/series/{incomplete_series_key}/nexus").content
    with h5py.File(io.BytesIO(content)) as file:
        assert file["Zn/sample/rotation_angle"][()].tolist() == [0.0, 45.0, 135.0]
        assert np.isfinite(file["Zn/data/data"][()]).all()


def test_a_volume_is_downloaded_with_what_made_it(
    api: httpx.Client, job: dict[str, Any], series_key: str, tiled_catalog: Catalog
) -> None:
    answer = api.get(job["links"]["nexus"].removeprefix("/api/v1"))
    assert answer.status_code == 200, answer.text
    with h5py.File(io.BytesIO(answer.content)) as file:
        volume = file["Zn/data/data"][()]
        assert file["Zn/reconstruction/parameters/algorithm"][()] == b"fbp"
    np.testing.assert_array_equal(volume, read_volume(tiled_catalog, series_key, job["id"], "Zn"))


def test_strangers_get_nothing(stranger: httpx.Client, series_key: str, job: dict[str, Any]) -> None:
    for path in (f"/series/{series_key}/nexus", f"/reconstructions/{job['id']}/nexus"):
        assert stranger.get(path).status_code == 401


def test_a_download_that_is_too_large_names_the_command(
    api: httpx.Client, series_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nexus_routes, "MOST_BYTES", 1000)
    answer = api.get(f"/series/{series_key}/nexus")
    assert answer.status_code == 413
    assert f"subprobe export {series_key}" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/series/none/nexus", f"/reconstructions/{NO_JOB}/nexus", "/series/KEY/nexus?element=Au"]
)
def test_what_is_not_there_is_not_found(api: httpx.Client, series_key: str, path: str) -> None:
    assert api.get(path.replace("KEY", series_key)).status_code == 404


def test_the_command_writes_series_and_volume(
    export: Callable[..., tuple[int, str]], series_key: str, job: dict[str, Any]
) -> None:
    assert export(series_key) == (0, "")
    with h5py.File("out.nxs") as file:
        assert set(file) == {"Zn", "Mn"}
        assert file["Zn/data/data"].shape == (8, 12, 32)
        assert file["Zn/processing/parameters/model"][()] == b"lmmse"
    code, said = export(series_key)
    assert (code, "--overwrite" in said) == (1, True)
    assert export(series_key, "--volume", job["id"], "--overwrite") == (0, "")
    with h5py.File("out.nxs") as file:
        assert file["Zn/data/data"].shape == (16, 6, 16)


def test_a_wrong_volume_leaves_no_file(export: Callable[..., tuple[int, str]], series_key: str) -> None:
    code, said = export(series_key, "--volume", NO_JOB)
    assert code == 1
    assert f"has no volume {NO_JOB}" in said
    assert not list(Path().glob("out*"))
