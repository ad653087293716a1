"""What an evaluation found, as tables in Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from models.superres.evaluation.compare import Result, paired_gain
from models.superres.evaluation.false_features import DIAMETER_NM, HEIGHT
from models.superres.evaluation.guard import Grain, Guarded

_SEED = 0  # of the bootstrap

Row = TypeVar("Row", Result, Guarded)


def quality_table(results: Sequence[Result]) -> list[str]:
    """PSNR in dB, SSIM and FRC period in nm by class, counts, probe, enhancer; then intervals, flux, cost, gains."""
    names = list(dict.fromkeys(result.enhancer for result in results))
    parts = (_quality_rows, _summary_rows, _coverage_rows, _false_feature_rows, _gain_rows)
    return [line for part in parts for line in [*part(results, names), ""]][:-1]


def guard_rows(guarded: Sequence[Guarded], grain: Grain) -> list[str]:
    """Share of planted grains that the measurement denies, and of the points denied with nothing planted.

    The column "truth" is what noise allows: grains added to the true map.
    """
    names = list(dict.fromkeys(result.enhancer for result in guarded))
    rows = [
        f"Grains of {grain.diameter_nm:g} nm and {grain.height:g} of the peak, planted one at a time: denied / denied "
        "with nothing planted",
        "",
        "| maps | counts | probe | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for (kind, counts, probe), group in _grouped(guarded, "image_class", "peak_counts", "probe").items():
        cells = []
        for name in names:
            own = [result for result in group if result.enhancer == name]
            found = sum(result.found for result in own) / sum(result.planted for result in own)
            cells.append(f"{found:.0%} / {np.mean([result.false_share for result in own]):.1%}")
        rows.append(f"| {kind} | {counts:g} | {probe} | " + " | ".join(cells) + " |")
    return rows


def _quality_rows(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    rows = ["| maps | counts | probe | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for (kind, counts, probe), group in _grouped(results, "image_class", "peak_counts", "probe").items():
        cells = []
        for name in names:
            own = [result for result in group if result.enhancer == name]
            figures = [np.mean([getattr(result, key) for result in own]) for key in ("psnr_db", "ssim")]
            period = np.median([result.frc_period_nm for result in own])
            cells.append(f"{figures[0]:.2f} / {figures[1]:.3f} / {period:.0f}")
        rows.append(f"| {kind} | {counts:g} | {probe} | " + " | ".join(cells) + " |")
    return rows


def _summary_rows(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    rows = [
        "| | flux bias, mean of sizes | worst | seconds a map | MB a map |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        own = [result for result in results if result.enhancer == name]
        bias = [abs(result.flux_bias) for result in own]
        seconds, memory_mb = (np.median([getattr(result, key) for result in own]) for key in ("seconds", "memory_mb"))
        rows.append(f"| {name} | {np.mean(bias):.2%} | {max(bias):.2%} | {seconds:.3f} | {memory_mb:.0f} |")
    return rows


def _coverage_rows(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """Of 90 % intervals, over all kinds of maps; the supported map is one and the same for all enhancers."""
    rows = [
        "90 % intervals hold: at the supported resolution, mean (worst map); of the full map by enhancer, mean (its "
        "edges); the measurement denies",
        "",
        "| counts | probe | supported | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for (counts, probe), group in _grouped(results, "peak_counts", "probe").items():
        supported = [result.supported_coverage for result in group]
        cells = [f"{np.mean(supported):.0%} ({min(supported):.0%})"]
        for name in names:
            own = [result for result in group if result.enhancer == name]
            edges = [result.edge_coverage for result in own if np.isfinite(result.edge_coverage)]
            cells.append(
                f"{np.mean([result.coverage for result in own]):.0%} ({np.mean(edges) if edges else np.nan:.0%}); "
                f"{np.mean([result.denied for result in own]):.1%}"
            )
        rows.append(f"| {counts:g} | {probe} | " + " | ".join(cells) + " |")
    return rows


def _false_feature_rows(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """Over the probes."""
    rows = [
        f"Grains per um^2 that are not there: {DIAMETER_NM:g} nm and at least {HEIGHT:g} of the peak above the truth",
        "",
        "| maps | counts | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for (kind, counts), group in _grouped(results, "image_class", "peak_counts").items():
        means = [np.mean([r.false_features_per_um2 for r in group if r.enhancer == name]) for name in names]
        rows.append(f"| {kind} | {counts:g} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return rows


def _gain_rows(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """Of the last enhancer over each other one, paired by map, by counts, averaged over probes and classes."""
    last = names[-1]
    rows = [f"| {last} over | counts | gain in dB | 95 % of bootstraps over maps |", "|---|---|---|---|"]
    for name in names[:-1]:
        for (counts,), group in _grouped(results, "peak_counts").items():
            gain, low, high = paired_gain(group, last, name, np.random.default_rng(_SEED))
            rows.append(f"| {name} | {counts:g} | {gain:+.2f} | {low:+.2f} to {high:+.2f} |")
    return rows


def _grouped(results: Iterable[Row], *keys: str) -> Mapping[tuple[object, ...], list[Row]]:
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for result in results:
        groups[tuple(getattr(result, key) for key in keys)].append(result)
    return groups
