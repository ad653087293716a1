"""Time and memory of one map by every enhancer, side by side; each in a process of its own.

pytest tests/benchmarks/test_networks.py -s -o addopts=--import-mode=importlib
"""

import json
import subprocess
import sys

import pytest

MEASURE = """
import json, sys, time
import torch
from models.superres.enhancers import make_enhancer
from models.superres.evaluation.held_out import held_out_probe, scan_of, xrf_like
from models.superres.evaluation.memory import peak_memory

name, side, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
probe = held_out_probe("A")
small, _ = scan_of(xrf_like, 0, probe, 300, 48)
coarse, _ = scan_of(xrf_like, 0, probe, 300, side)
enhancer = make_enhancer(name)
enhancer.enhance(small, probe, "fly", 4)  # loads weights and chooses numbers
wall, core = [], []
with peak_memory() as peak:
    for _ in range(1 if side > 200 else 3):
        start = time.perf_counter(), time.process_time()
        enhanced = enhancer.enhance(coarse, probe, "fly", 4)
        wall.append(time.perf_counter() - start[0])
        core.append(time.process_time() - start[1])
print(json.dumps([min(wall), min(core), peak.extra_mb, enhanced.computed_on]))
"""


def measured(name: str, side: int, threads: int) -> tuple[float, float, float, str]:
    command = [sys.executable, "-c", MEASURE, name, str(side), str(threads)]
    wall_s, core_s, memory_mb, computed_on = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    print(f"{name:16s} {side} x {side}: {wall_s:7.3f} s, {core_s:7.3f} core-s, {memory_mb:6.0f} MB; {computed_on}")
    return wall_s, core_s, memory_mb, computed_on


def test_a_map_of_140_costs_a_tenth_of_total_variation() -> None:
    """A twentieth is wanted."""
    print()
    costs = {name: measured(name, 140, 2) for name in ("bicubic", "lmmse", "unrolled", "richardson-lucy", "poisson-tv")}
    assert costs["unrolled"][1] < costs["poisson-tv"][1] / 10
    assert costs["unrolled"][2] < 1500


@pytest.mark.parametrize("name", ["lmmse", "unrolled"])
def test_a_map_of_1000_fits_into_memory(name: str) -> None:
    print()
    *_, memory_mb, _ = measured(name, 1000, 2)
    assert memory_mb < 12_000
