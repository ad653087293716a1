"""Core-seconds of the tomography engines beside the prototype they come from, and the memory of a large slab.

pytest tests/benchmarks/test_tomography.py -s -o addopts=--import-mode=importlib
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch

from models.tomo.likelihood import LikelihoodSettings, Regularisation
from models.tomo.numba_engine import NumbaEngine
from models.tomo.system import Geometry
from models.tomo.torch_engine import TorchEngine

SHARED = Path(os.environ.get("SUBPROBE_SHARED", Path(__file__).parents[3] / "shared"))
PROTOTYPE = SHARED / "prototypes" / "tomography"
REGULARISATION = Regularisation(0.1, 0.3)
ROUNDS = 3


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def scan(side: int, n_angles: int, n_slices: int) -> tuple[np.ndarray, Geometry]:
    """Counts of a cylinder, (angle, y, u), and where their rays run."""
    u = np.arange(side) + 0.5 - side / 2
    row = 100 * np.sqrt(np.clip(1 - (u / (0.4 * side)) ** 2, 0, None))
    counts = np.random.default_rng(0).poisson(row, (n_angles, n_slices, side)).astype(np.float32)
    return counts, Geometry(np.arange(n_angles) * 180 / n_angles, side / 2, side, (side, side))


def ours(engine: Any, counts: np.ndarray, geometry: Geometry, n_subsets: int) -> Callable[[], float]:
    """Core-seconds of the fastest of two later iterations."""

    def run() -> float:
        told: list[float] = []
        settings = LikelihoodSettings("ospml_hybrid", 3, n_subsets, REGULARISATION)
        engine.reconstruct(counts, geometry, settings, progress=lambda _fraction: told.append(process_time()))
        return float(np.diff(told[n_subsets - 1 :: n_subsets]).min())

    return run


def prototype(counts: np.ndarray, geometry: Geometry, n_subsets: int) -> Callable[[], float]:
    """The same of ../shared/prototypes/tomography/fast_cpu.py, which records no history."""
    if str(PROTOTYPE) not in sys.path:
        sys.path.insert(0, str(PROTOTYPE))
    import fast_build
    import fast_cpu
    import numba

    numba.set_num_threads(1)
    n_angles, side = len(counts), geometry.n_detector
    order = np.concatenate([np.arange(first, n_angles, n_subsets) for first in range(n_subsets)])
    engine = fast_cpu.NumbaEngine.__new__(fast_cpu.NumbaEngine)
    engine.nx = engine.ny = side
    engine.sub = [
        (
            angles,
            (a.indptr, fast_cpu.pad_cols(a.indices, side, side), a.data),
            (t.indptr, t.indices, t.data),
            sensitivity,
        )
        for angles, a, t, sensitivity in fast_build.build_fast(
            np.deg2rad(geometry.angles_deg), side, side, side, side / 2, order, n_subsets
        )
    ]
    engine.W = fast_cpu.weight_maps(side, side)[..., 0].numpy().copy()
    pitch = side + 2
    engine.off = np.array([up * pitch + right for up in (-1, 0, 1) for right in (-1, 0, 1) if up or right], np.int64)
    sinogram = np.ascontiguousarray(counts.transpose(0, 2, 1))

    def run() -> float:
        start = process_time()
        engine.run(sinogram, 1, REGULARISATION.beta, REGULARISATION.delta)
        middle = process_time()
        engine.run(sinogram, 2, REGULARISATION.beta, REGULARISATION.delta)
        return process_time() - middle - (middle - start)

    return run


@pytest.mark.skipif(not PROTOTYPE.exists(), reason=f"the prototype is not at {PROTOTYPE}")
@pytest.mark.parametrize(("side", "n_slices", "n_angles", "n_subsets"), [(140, 140, 91, 7), (256, 32, 180, 9)])
def test_an_iteration_costs_no_more_than_the_prototypes(
    side: int, n_slices: int, n_angles: int, n_subsets: int
) -> None:
    counts, geometry = scan(side, n_angles, n_slices)
    runs = {
        "prototype": prototype(counts, geometry, n_subsets),
        "numba": ours(NumbaEngine(), counts, geometry, n_subsets),
        "torch": ours(TorchEngine(), counts, geometry, n_subsets),
    }
    for run in runs.values():
        run()  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            seconds[name].append(run())
    best = {name: min(values) for name, values in seconds.items()}
    print(f"\n{side}^2 x {n_slices}, {n_angles} angles, {n_subsets} subsets, core-seconds per iteration:")
    print({name: round(value, 3) for name, value in best.items()}, "ratios to the prototype:")
    print({name: round(value / best["prototype"], 2) for name, value in best.items()})
    assert best["numba"] < 1.05 * best["prototype"]
    assert best["torch"] < 5 * best["numba"]


def _slab() -> None:
    """In a process of its own: its peak is this slab's."""
    torch.set_num_threads(1)
    counts, geometry = scan(560, 270, 64)
    seconds = ours(NumbaEngine(), counts, geometry, 9)
    start = process_time()
    iteration = seconds()
    print(iteration, process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def test_a_slab_of_a_large_volume_fits_and_keeps_its_speed() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.run([sys.executable, __file__], env=environment, check=True, capture_output=True, text=True)
    iteration_s, whole_s, peak = map(float, child.stdout.split())
    stated = NumbaEngine().memory_bytes(scan(560, 270, 1)[1], 64, LikelihoodSettings("osem", 1, 9))
    print(
        f"\n560^2, 270 angles, 64 slices: {iteration_s / 64:.3f} core-s per slice and iteration; {whole_s:.0f} core-s"
    )
    print(f"for 3 iterations with the matrix; peak {peak / 1e9:.2f} GB, stated {stated / 1e9:.2f} GB")
    assert iteration_s / 64 < 0.15
    assert peak < 5e9


if __name__ == "__main__":
    _slab()
