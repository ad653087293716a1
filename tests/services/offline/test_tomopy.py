"""What comes out of the command is what TomoPy gives: its numbers, its axes, its centre, its angles and its subsets."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

Run = Callable[..., Any]
GOLDEN = Path(__file__).parents[2] / "models" / "tomo" / "golden"
"""See its README."""


@cache
def _arrays() -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


@cache
def _cases() -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}


def _as_options(case: dict[str, Any]) -> list[Any]:
    options = ["--algorithm", case["algorithm"], "--iterations", case["num_iter"], "--center", case["center"]]
    options += ["--subsets", case["num_block"], "--engine", "auto"] if "num_block" in case else []
    for option, value in zip(("--beta", "--delta"), case.get("reg_par", ()), strict=False):
        options += [option, value]
    return options


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("hyb_A31p5_it2", ()),
        ("hyb_A30p3_it10", ("--order", "interleaved")),
        ("hyb_B33p2_it10", ()),
        ("quad_P30p3_it10", ()),
        ("osem_P30p3_it10", ()),
        ("mlem_A30p3_it10", ()),
        ("hyb_default_order", ("--order", "sequential")),
    ],
)
def test_the_command_gives_tomopys_volume(subprobe: Run, tmp_path: Path, name: str, order: tuple[str, ...]) -> None:
    case, arrays = _cases()[name], _arrays()
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["projections/Zn"] = arrays[f"sino_{case['sino']}"].transpose(1, 0, 2)  # theirs: (y, angle, u)
        file["angles_deg"] = np.rad2deg(arrays[case["theta"]].astype(np.float64))
    done = subprobe("reconstruct", "in.h5", *_as_options(case), *order, "--out", "out.h5")
    assert done.code == 0, done.err
    with h5py.File("out.h5") as file:
        volume, used = file["volume/Zn"][()], dict(file["volume/Zn"].attrs)
    theirs = arrays[name][:, ::-1].transpose(1, 0, 2)  # (y, n, m): z is n from its end, x is m
    assert np.linalg.norm(volume - theirs) / np.linalg.norm(theirs) < (3e-5 if case["num_iter"] == 10 else 5e-4)
    if "num_block" in case:
        assert used["order"] == (order[1] if order else "interleaved")
