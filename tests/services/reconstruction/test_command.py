"""`subprobe reconstruct SERIES`: the service is asked, with the options that a file would take too."""

import logging
import sys
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from services.catalog.client import Catalog
from services.catalog.volumes import list_volumes
from services.cli import main


@pytest.fixture
def command(service: str, reconstruction_tiled: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``subprobe reconstruct`` with the shared service; gives the exit code."""
    address = urlsplit(service)
    monkeypatch.setenv("SUBPROBE_TILED__URI", reconstruction_tiled.uri)
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", reconstruction_tiled.api_key)
    monkeypatch.setenv("SUBPROBE_RECONSTRUCTION__HOST", str(address.hostname))
    monkeypatch.setenv("SUBPROBE_RECONSTRUCTION__PORT", str(address.port))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["subprobe", "reconstruct", *arguments])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def test_a_series_is_reconstructed_as_asked(
    command: Any, series_key: str, tiled_catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--algorithm", "osem", "--iterations", "2", "--subsets", "2", "--center", "8.5", "--source", "fitted")
    options += ("--element", "Zn")
    assert command(series_key, *options) == 0
    assert "volume at" in capsys.readouterr().out
    made = list_volumes(tiled_catalog, series_key)[-1]
    assert made.elements == ("Zn",)
    assert (made.metadata["algorithm"], made.metadata["centre_px"]) == ("osem", 8.5)
    assert (made.metadata["parameters"]["n_iterations"], made.metadata["parameters"]["n_subsets"]) == (2, 2)


def test_what_the_service_refuses_is_told(
    command: Any, api: httpx.Client, series_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = api.get("/reconstructions").json()["total"]
    assert command(series_key, "--algorithm", "fbp", "--beta", "1") == 1
    assert "Allowed are window, cutoff" in " ".join(capsys.readouterr().err.split())
    assert api.get("/reconstructions").json()["total"] == before
