"""Files as a user has them, and the command run in this process: a new one would import torch for every test."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.probe import Probe, gaussian_probe
from services.cli import main

Run = Callable[..., "Ended"]
SHAPE = (10, 12)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def probe() -> Probe:
    return gaussian_probe(45.0, n=48)


@pytest.fixture(scope="session")
def counts() -> dict[str, NDArray[np.uint32]]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(7)
    return {
        "Zn": rng.poisson(200.0 * np.exp(-((y - 5) ** 2 + (x - 6) ** 2) / 8) + 2).astype(np.uint32),
        "Mn": rng.poisson(50.0 * (x > 5) + 1).astype(np.uint32),
    }


@pytest.fixture
def maps_file(tmp_path: Path, counts: dict[str, NDArray[np.uint32]]) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        for element, values in counts.items():
            file[f"maps/{element}"] = values
    return path


@pytest.fixture
def probe_file(tmp_path: Path, probe: Probe) -> Path:
    path = tmp_path / "probe.h5"
    with h5py.File(path, "w") as file:
        file["amplitude"] = np.abs(probe.modes)
        file["phase"] = np.angle(probe.modes)
        file.attrs.update(pixel_nm=probe.pixel_size_nm, energy_kev=probe.energy_kev)
    return path


@pytest.fixture
def subprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of ``subprobe`` in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # the command sets up logging for its process

    def run(*arguments: Any) -> Ended:
        monkeypatch.setattr(sys, "argv", ["subprobe", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def enhance(subprobe: Run, maps_file: Path, probe_file: Path) -> Run:
    """Run ``subprobe enhance`` on scan.h5 and probe.h5 to fine.h5 in ``tmp_path``; further options are added."""

    def run(*options: Any, maps: Path = maps_file, probe: Path = probe_file, pixel_nm: float = 7.5) -> Ended:
        arguments = [maps, "--probe", probe, "--step-nm", 30, "--pixel-nm", pixel_nm, "--out", "fine.h5", *options]
        return subprobe("enhance", *arguments)

    return run
