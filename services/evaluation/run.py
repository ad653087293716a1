"""`subprobe evaluate`: every enhancer against the truth on held-out maps and probes; table, figures, picture."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from models.superres.enhancer import Enhancer
from models.superres.enhancers import ENHANCERS, make_enhancer
from models.superres.evaluation.compare import Plan, Result, compare
from models.superres.evaluation.guard import Grain, Guarded, plant_grains
from models.superres.evaluation.held_out import IMAGE_CLASSES, held_out_probe, natural
from services.errors import SubprobeError
from services.evaluation.picture import draw_halves, draw_panels
from services.evaluation.tables import guard_rows, quality_table

log = logging.getLogger(__name__)

_NATURAL = "natural"
_GRAIN = Grain(diameter_nm=38.0, height=0.3)


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
        n_grains: planted into each map to see whether the measurement denies them.
    """

    out: Path
    models: Sequence[str]
    probes: Sequence[str]
    peak_counts: Sequence[float]
    image_classes: Sequence[str]
    n_maps: int
    natural_folder: Path | None = None
    device: str = "cpu"
    n_grains: int = 10


def run_evaluation(request: Request, console: Console) -> None:
    """Compare, write and print.

    Raises:
        EvaluationError: something asked for does not exist; the message names it.
    """
    plan = _plan(request)
    request.out.mkdir(parents=True, exist_ok=True)
    results = list(track(compare(plan), "enhancing", total=len(plan), console=console))
    _write_rows(request.out / "results.csv", Result, results)
    lines = quality_table(results)
    if request.n_grains:
        guarded = _planted(plan, request.n_grains, console)
        _write_rows(request.out / "grains.csv", Guarded, guarded)
        lines += ["", *guard_rows(guarded, _GRAIN)]
    table = "\n".join([*lines, ""])
    (request.out / "table.md").write_text(table, encoding="utf-8")
    draw_panels(plan, request.out / "panels.png")
    draw_halves(plan, request.out / "halves.png")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"table, figures as CSV and pictures in {request.out}")


def _planted(plan: Plan, n_grains: int, console: Console) -> list[Guarded]:
    one_kind = replace(plan, image_classes=dict([next(iter(plan.image_classes.items()))]))
    total = len(one_kind) // len(plan.enhancers) * (len(plan.enhancers) + 1)  # and the truth
    return list(track(plant_grains(one_kind, _GRAIN, n_grains), "planting grains", total=total, console=console))


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


def _write_rows(path: Path, kind: type[Result] | type[Guarded], results: Sequence[Result | Guarded]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(kind)])
        rows.writeheader()
        rows.writerows(asdict(result) for result in results)
