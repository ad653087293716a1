"""Either branch of the dual-branch network by itself, and both, after the same number of the same patches."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import Enhancer
from models.superres.evaluation.compare import Plan, Result, compare, paired_gain
from models.superres.evaluation.held_out import IMAGE_CLASSES, held_out_probe
from models.superres.lmmse import LmmseEnhancer
from models.superres.network import NetworkEnhancer
from models.superres.networks.weights import Card, save_weights
from models.superres.training.loop import start, train
from models.superres.training.presets import PRESETS, Preset
from paper_experiments.report import Report, Table, commit, say

SEED = 1
_ONE_LEVEL: Mapping[str, Any] = {"two_levels": False}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "both": {"n_multi_scale": 2, "n_groups": 2, "n_blocks": 3},
    "msrb": {"n_multi_scale": 2, "n_groups": 0},
    "rcab": {"n_multi_scale": 0, "n_groups": 2, "n_blocks": 3},
    "msrb-wide": {"n_multi_scale": 6, "n_groups": 0},
    "rcab-wide": {"n_multi_scale": 0, "n_groups": 3, "n_blocks": 3},
}
"""Branches as in `dual_branch_small`; the wide ones have about as many weights as both branches together. A branch
without blocks is an identity, that of the groups an identity and one convolution."""


@dataclass(frozen=True)
class Size:
    """How long to train what, and on how many maps to test."""

    variants: tuple[str, ...]
    n_steps: int
    batch: int
    coarse_px: int
    n_maps: int
    test_px: int


_BRANCHES = ("both", "msrb", "rcab")

SIZES = {
    "tiny": Size(_BRANCHES, 2, 2, 8, 1, 24),
    "small": Size(_BRANCHES, 500, 8, 24, 6, 60),
    "paper": Size(tuple(VARIANTS), 250 * 6280 // 16, 16, 64, 6, 140),
}
COUNTS = (30.0, 300.0, 3000.0)
CLASSES = ("xrf-like", "other-generator")


def run(size_name: str, out: Path) -> Report:
    """Train what is not trained yet, then test all on the same held-out maps."""
    size = SIZES[size_name]
    trained = {name: _trained(name, size, out / f"ablation-{size_name}") for name in size.variants}
    enhancers: dict[str, Enhancer] = {"bicubic": BicubicEnhancer(), "lmmse": LmmseEnhancer()}
    enhancers |= {name: NetworkEnhancer(str(path)) for name, (path, _) in trained.items()}
    classes = {name: IMAGE_CLASSES[name] for name in CLASSES}
    plan = Plan(enhancers, {"A": held_out_probe("A")}, COUNTS, classes, size.n_maps, size.test_px)
    say(f"{len(plan)} held-out results")
    results = list(compare(plan))
    setting = {**asdict(size), "seed of weights and pairs": SEED, "probe": "A, 40 nm", "counts": COUNTS}
    costs = {name: cost for name, (_, cost) in trained.items()}
    figures = {"training": costs, "results": [asdict(result) for result in results]}
    return Report("ablation", setting, [_table(results, costs), _gains(results, size.variants)], figures)


def preset_of(variant: str, size: Size) -> Preset:
    """`dual_branch_small` with one branch or two, on fewer patches."""
    base = PRESETS["dual_branch_small"]
    conditions = replace(base.conditions, coarse_px=size.coarse_px)
    config = {**_ONE_LEVEL, **VARIANTS[variant]}
    return replace(base, config=config, conditions=conditions, n_steps=size.n_steps, batch=size.batch, seed=SEED)


def _trained(variant: str, size: Size, folder: Path) -> tuple[Path, dict[str, float]]:
    """Path of the weights and what they cost; trained now unless they lie there already."""
    path = folder / f"{variant}.safetensors"
    done = folder / f"{variant}.npz"
    if done.exists():
        with np.load(done) as cost:
            return path, {key: float(value) for key, value in cost.items()}
    folder.mkdir(parents=True, exist_ok=True)
    preset = preset_of(variant, size)
    training = start(preset)
    begun, cpu = time.perf_counter(), time.process_time()
    for report in train(training):
        if report.step % 50 == 0:
            say(f"{variant}: step {report.step} of {preset.n_steps}, error {report.error:.4f}")
    cost = {
        "weights": float(sum(weights.numel() for weights in training.averaged.parameters())),
        "seconds": time.perf_counter() - begun,
        "core_seconds": time.process_time() - cpu,
    }
    words = f"{preset.n_images} procedural maps of seed {preset.seed}"
    card = Card(preset.network, preset.config, words, variant, preset.seed, preset.n_steps, preset.batch, commit())
    save_weights(folder, variant, training.averaged, card)
    np.savez(done, **cost)
    return path, cost


def _mean(results: list[Result], enhancer: str, kind: str, counts: float) -> float:
    chosen = [r.psnr_db for r in results if (r.enhancer, r.image_class, r.peak_counts) == (enhancer, kind, counts)]
    return float(np.mean(chosen))


def _table(results: list[Result], costs: Mapping[str, Mapping[str, float]]) -> Table:
    header = ["network", "weights", "core-s of training", *(f"{kind}, {n:g}" for kind in CLASSES for n in COUNTS)]
    rows = []
    for name in dict.fromkeys(result.enhancer for result in results):
        cost = costs.get(name)
        spent = [f"{cost['weights'] / 1e6:.3f} M", f"{cost['core_seconds']:.0f}"] if cost else ["-", "-"]
        rows.append([name, *spent, *(f"{_mean(results, name, kind, n):.2f}" for kind in CLASSES for n in COUNTS)])
    return Table("PSNR in dB by maps and counts, probe A", header, rows)


def _gains(results: list[Result], variants: tuple[str, ...]) -> Table:
    rows = []
    for other in (name for name in variants if name != "both"):
        rng = np.random.default_rng(SEED)
        cells = []
        for kind in CLASSES:
            gain, low, high = paired_gain([r for r in results if r.image_class == kind], "both", other, rng)
            cells.append(f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]")
        rows.append([f"both over {other}", *cells])
    return Table("Paired gain in dB, mean and 95 % of a bootstrap over maps, all counts", ["", *CLASSES], rows)
