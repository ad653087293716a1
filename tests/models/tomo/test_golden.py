"""Every engine gives what TomoPy gives, for every method, centre, order of subsets, start image and grid."""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.tomo.engines import ENGINES
from models.tomo.likelihood import LikelihoodSettings, Regularisation
from models.tomo.system import Geometry

COMMITTED = Path(__file__).parent / "golden"
WHOLE = Path(os.environ.get("SUBPROBE_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "tomopy-golden"
RUNNING = [name for name, engine in ENGINES.items() if engine.unavailable() is None]
LIKELIHOOD = ("ospml_hybrid", "ospml_quad", "pml_hybrid", "osem", "mlem", "sirt")


@dataclass(frozen=True)
class Golden:
    """Arrays by name, and the arguments of each reconstruction."""

    arrays: dict[str, np.ndarray]
    cases: dict[str, dict[str, Any]]


@lru_cache
def golden(folder: Path) -> Golden:
    arrays = {
        name: array
        for path in folder.glob("*.npz")
        if "gridrec" not in path.name
        for name, array in np.load(path).items()
    }
    if not arrays:
        return Golden({}, {})
    cases = json.loads((folder / "cases.json").read_text())
    return Golden(arrays, {case["name"]: case for case in cases if case["algorithm"] in LIKELIHOOD})


def ours(volume: np.ndarray) -> np.ndarray:
    """(z, y, x) of TomoPy's (slice, n, m)."""
    return np.ascontiguousarray(volume[:, ::-1].transpose(1, 0, 2)).astype(np.float32)


def settings_of(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> LikelihoodSettings:
    method = {"pml_hybrid": "ospml_hybrid"}.get(case["algorithm"], case["algorithm"])
    n_subsets = case.get("num_block", 1)
    beta, delta = (*case.get("reg_par", [1.0, 1.0]), 1.0)[:2]
    in_turn = np.arange(45)
    order = arrays.get(case.get("ind_block", ""), in_turn) if n_subsets > 1 else in_turn
    return LikelihoodSettings(
        method,
        case["num_iter"],
        n_subsets,
        Regularisation(beta, delta) if method.startswith("ospml") else None,
        tuple(order.tolist()),
    )


def reconstructed(engine: str, case: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    projections = arrays[f"sino_{case['sino']}"].transpose(1, 0, 2)
    angles_deg, settings = np.rad2deg(arrays[case["theta"]].astype(float)), settings_of(case, arrays)
    size = case.get("num_gridx", 64), case.get("num_gridy", 64)
    initial = ours(arrays["phantom"] * 0.5 + 0.1) if case["name"] == "hyb_init" else None
    if case["center"] != "center_per_slice":
        geometry = Geometry(angles_deg, case["center"], 64, size)
        return ENGINES[engine].reconstruct(projections, geometry, settings, initial=initial).volume
    slices = [
        ENGINES[engine].reconstruct(projections[:, [row]], Geometry(angles_deg, centre, 64, size), settings).volume
        for row, centre in enumerate(arrays["center_per_slice"].tolist())
    ]
    return np.concatenate(slices, axis=1)


def relative_error(volume: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))


def assert_is_tomopys(engine: str, name: str, source: Golden) -> None:
    case = source.cases[name]
    error = relative_error(reconstructed(engine, case, source.arrays), ours(source.arrays[name]))
    if case["algorithm"] == "sirt" or name == "hyb_center_per_slice":
        assert error < 3e-4
    else:
        assert error < (3e-5 if case["num_iter"] == 10 else 5e-4)


@pytest.mark.parametrize("engine", RUNNING)
@pytest.mark.parametrize("name", sorted(golden(COMMITTED).cases))
def test_a_reconstruction_is_tomopys(engine: str, name: str) -> None:
    assert_is_tomopys(engine, name, golden(COMMITTED))


@pytest.mark.skipif(not WHOLE.exists(), reason=f"the whole set is not at {WHOLE}")
@pytest.mark.parametrize("engine", RUNNING)
@pytest.mark.parametrize("name", sorted(set(golden(WHOLE).cases) - set(golden(COMMITTED).cases)))
def test_the_rest_of_the_reconstructions_are_tomopys(engine: str, name: str) -> None:
    assert_is_tomopys(engine, name, golden(WHOLE))


@pytest.mark.parametrize("engine", RUNNING)
@pytest.mark.parametrize(
    ("data", "angles", "centre_px"),
    [("A32", "thetaA", 32.0), ("A30p3", "thetaA", 30.3), ("A31p5", "thetaA", 31.5), ("B33p2", "thetaB", 33.2)],
)
def test_projections_are_tomopys(engine: str, data: str, angles: str, centre_px: float) -> None:
    arrays = golden(COMMITTED).arrays
    geometry = Geometry(np.rad2deg(arrays[angles].astype(float)), centre_px, 64, (64, 64))
    projected = ENGINES[engine].project(ours(arrays["phantom"]), geometry)
    assert relative_error(projected, arrays[f"sino_{data}"].transpose(1, 0, 2)) < 1e-6


@pytest.mark.parametrize("engine", RUNNING)
def test_projections_at_270_new_angles_are_tomopys(engine: str) -> None:
    arrays = golden(COMMITTED).arrays
    geometry = Geometry(np.rad2deg(arrays["theta270"].astype(float)), 30.3, 64, (64, 64))
    projected = ENGINES[engine].project(ours(arrays["phantom0"]), geometry)
    assert relative_error(projected, arrays["proj_270_A30p3"].transpose(1, 0, 2)) < 1e-6
