"""`subprobe evaluate`: every enhancer against the truth on held-out maps and probes; table, figures, picture."""

import csv
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from models.superres.enhancer import Enhancer
from models.superres.enhancers import ENHANCERS, make_enhancer
from models.superres.evaluation.compare import Plan, Result, compare, paired_gain
from models.superres.evaluation.held_out import IMAGE_CLASSES, held_out_probe, natural
from services.errors import SubprobeError
from services.evaluation.picture import draw_panels

log = logging.getLogger(__name__)

_SEED = 0  # of the bootstrap
_NATURAL = "natural"


class EvaluationError(SubprobeError):
    """An evaluation cannot start."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        out: folder for ``results.csv``, ``table.md`` and ``panels.png``.
        models: enhancers by name, or paths of weights.
        probes: of A, B, C.
        peak_counts: of a point that reads 1; infinite for no noise.
        image_classes: of those of `held_out`, or ``natural`` with a folder.
        n_maps: of each class.
        natural_folder: photographs.
        device: of torch.
    """

    out: Path
    models: Sequence[str]
    probes: Sequence[str]
    peak_counts: Sequence[float]
    image_classes: Sequence[str]
    n_maps: int
    natural_folder: Path | None = None
    device: str = "cpu"


def run_evaluation(request: Request, console: Console) -> None:
    """Compare, write and print.

    Raises:
        EvaluationError: something asked for does not exist; the message names it.
    """
    plan = _plan(request)
    request.out.mkdir(parents=True, exist_ok=True)
    results = list(track(compare(plan), "enhancing", total=len(plan), console=console))
    _write_results(request.out / "results.csv", results)
    table = table_markdown(results)
    (request.out / "table.md").write_text(table, encoding="utf-8")
    draw_panels(plan, request.out / "panels.png")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"all figures in {request.out / 'results.csv'}, pictures in {request.out / 'panels.png'}")


def table_markdown(results: Sequence[Result]) -> str:
    """PSNR in dB, SSIM and FRC period in nm by class, counts, probe, enhancer; then coverage, flux, time, gains."""
    names = list(dict.fromkeys(result.enhancer for result in results))
    return "\n".join(
        [*_quality_rows(results, names), "", *_summary_rows(results, names), "", *_gain_rows(results, names), ""]
    )


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
        "| | 90 % interval covers | least map | flux bias, mean of sizes | seconds a map |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        own = [result for result in results if result.enhancer == name]
        coverage = [result.coverage for result in own]
        bias = np.mean([abs(result.flux_bias) for result in own])
        seconds = np.median([result.seconds for result in own])
        rows.append(f"| {name} | {np.mean(coverage):.1%} | {min(coverage):.1%} | {bias:.2%} | {seconds:.3f} |")
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


def _grouped(results: Iterable[Result], *keys: str) -> Mapping[tuple[object, ...], list[Result]]:
    groups: dict[tuple[object, ...], list[Result]] = defaultdict(list)
    for result in results:
        groups[tuple(getattr(result, key) for key in keys)].append(result)
    return groups


def _plan(request: Request) -> Plan:
    enhancers: dict[str, Enhancer] = {}
    for name in request.models:
        if name not in ENHANCERS and not Path(name).exists():
            raise EvaluationError(f"there is no model {name!r}: pass a weights file or one of {', '.join(ENHANCERS)}")
        enhancers[Path(name).stem] = make_enhancer(name, request.device)
    known = dict(IMAGE_CLASSES)
    if request.natural_folder is not None:
        known[_NATURAL] = natural(request.natural_folder)
    unknown = [name for name in request.image_classes if name not in known]
    if unknown:
        more = "" if _NATURAL in known else "; --natural FOLDER adds photographs"
        raise EvaluationError(f"there are no maps called {', '.join(unknown)}: choose from {', '.join(known)}{more}")
    return Plan(
        enhancers,
        {name: held_out_probe(name) for name in request.probes},
        request.peak_counts,
        {name: known[name] for name in request.image_classes},
        request.n_maps,
    )


def _write_results(path: Path, results: Sequence[Result]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Result)])
        rows.writeheader()
        rows.writerows(asdict(result) for result in results)
