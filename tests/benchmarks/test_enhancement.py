"""Gain of lmmse and unrolled over bicubic, and coverage of their sigma, by step and counts; ``-s`` shows the table.

pytest tests/benchmarks/test_enhancement.py -s -o addopts=--import-mode=importlib
"""

import numpy as np
import pytest
import torch

from models.phantoms.specimens import make_specimen
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import zone_plate_probe
from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancers import make_enhancer
from models.xrf.maps import ElementMaps

SPECIMENS = ("zn-mn-cathode", "nmc-particle")
TRAINING_SEEDS = (1001, 1002)
SCALE = 4
FOV_PX = 560
ENHANCERS = {name: make_enhancer(name) for name in ("lmmse", "unrolled")}


def rms_error(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(element,)"""
    return np.sqrt(np.mean((values - truth) ** 2, axis=(1, 2)))


def measured(expected: np.ndarray, step_nm: int, peak_counts: float, rng: np.random.Generator) -> ElementMaps:
    per_unit = (peak_counts / expected.max(axis=(1, 2))).astype(np.float32)
    scaling = per_unit[:, None, None]
    counts = rng.poisson(np.maximum(expected, 0) * scaling)
    return ElementMaps(
        elements=tuple(f"E{index}" for index in range(len(expected))),
        values=(counts / scaling).astype(np.float32),
        variance=(np.maximum(counts, 1) / scaling**2).astype(np.float32),
        mask=np.ones(expected.shape[1:], bool),
        pixel_size_nm=float(step_nm),
        counts_per_unit=per_unit,
    )


@pytest.mark.parametrize("step_nm", [30, 60, 120])
@pytest.mark.parametrize("specimen", SPECIMENS)
def test_gain_and_coverage(specimen: str, step_nm: int) -> None:
    probe, rng, scale = zone_plate_probe(), np.random.default_rng(1000), round(step_nm / 7.5)
    operator = FlyScanOperator(probe, (FOV_PX // scale, FOV_PX // scale), scale, "fly")
    margin, side, block = operator.margin_px, FOV_PX // scale * SCALE, scale // SCALE
    truths = [
        make_specimen(specimen, seed).areal_density_ug_cm2(30.0, operator.fine_shape, 7.5) for seed in TRAINING_SEEDS
    ]
    for peak_counts in (50, 500, 5000):
        rows: dict[str, list[list[float]]] = {name: [] for name in ENHANCERS}
        for truth in truths:
            coarse = measured(operator.forward(torch.from_numpy(truth)).numpy(), step_nm, peak_counts, rng)
            inside = truth[:, margin:-margin, margin:-margin]
            fine = inside.reshape(len(truth), side, block, side, block).mean(axis=(2, 4))
            baseline = rms_error(BicubicEnhancer().enhance(coarse, probe, "fly", SCALE).values, fine)
            there = fine > 0.02 * fine.max(axis=(1, 2), keepdims=True)
            for name, enhancer in ENHANCERS.items():
                enhanced = enhancer.enhance(coarse, probe, "fly", SCALE)
                error = rms_error(enhanced.values, fine)
                score = np.abs(enhanced.values - fine) / enhanced.sigma
                covered = [[np.mean(s[t] < z) for z in (1, 1.64)] for s, t in zip(score, there, strict=True)]
                gains = 20 * np.log10(baseline / error), 20 * np.log10(fine.max(axis=(1, 2)) / error)
                rows[name] += [[g, p, *c] for g, p, c in zip(*gains, covered, strict=True)]
        for name, own in rows.items():
            gain, level, one_sigma, ninety = np.mean(own, axis=0)
            print(
                f"{specimen:14s} step {step_nm:3d} nm  peak {peak_counts:4d} counts  {name:8s} {level:5.2f} dB, "
                f"{gain:+5.2f} over bicubic, worst {min(row[0] for row in own):+5.2f}; "
                f"in the specimen 1 sigma covers {one_sigma:.0%}, 1.64 sigma {ninety:.0%}"
            )
            assert gain > 0
