"""`subprobe finetune`: from a series with fine scans to weights of its own, judged on views that they never saw."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from models.superres.networks.weights import TrainedNetwork, load_weights, save_weights
from models.superres.pairs.recording import Recording
from models.superres.probe_range import widened
from models.superres.training.judging import Explained, explained
from models.superres.training.presets import PRESETS, Preset
from models.superres.training.validation import Validation
from services.catalog.client import Catalog
from services.catalog.products import find_series
from services.training.held_out_picture import draw_held_out
from services.training.recorded import read_recordings
from services.training.run import Schedule, TrainingError, calibrate_weights, progress_bar, run_training
from services.training.series_pairs import SeriesPairs, collect_pairs, read_about
from services.training.sources import Sources

_EPOCHS = 8  # each place about once in each of the eight ways that maps are turned and mirrored
_LEAST_STEPS = 240  # of which 50 warm up: 48 steps gained a tenth of what these did
RECORDED_SHARE = 0.5
_PAIRS = "pairs.h5"
_PICTURE = "held-out.png"
_FORGOTTEN_DB = 0.2  # of validation: as much as two trainings of other seeds differ
_LICENCE = "recorded by the user, whose licence holds"


@dataclass(frozen=True)
class Request:
    """What a user says about a fine-tuning.

    Attributes:
        series: key or uid.
        out: folder for pairs, checkpoint and weights; None: finetuning/<series key>.
        epochs: passes over the pairs of the series; None: 8, or as many as 240 steps make.
        minutes: after which to stop training; None: until done.
        elements: to learn from; empty: all.
        start_from: shipped weights by name, or others by path.
        device: of torch.
        seed: of the pairs; None: the preset's.
    """

    series: str
    out: Path | None = None
    epochs: int | None = None
    minutes: float | None = None
    elements: tuple[str, ...] = ()
    start_from: str = "unrolled"
    device: str = "cpu"
    seed: int | None = None


@dataclass(frozen=True)
class Outcome:
    """Of a fine-tuning that came to its end.

    Attributes:
        weights: the file.
        before, after: of the held-out views.
        before_db, after_db: validation on procedural maps.
    """

    weights: Path
    before: Explained
    after: Explained
    before_db: float
    after_db: float

    @property
    def is_better(self) -> bool:
        """Whether held-out fine readings are explained better than before."""
        return float(self.after.fine.mean()) < float(self.before.fine.mean())


def run_fine_tuning(request: Request, catalog: Catalog, console: Console) -> Outcome | None:
    """Make pairs, train, and judge; a folder that holds a training of the same series goes on.

    Returns:
        What came of it; None where Ctrl-C stopped the training, which the same request then goes on with.

    Raises:
        PairsError: the series has no fine scans that a network could learn from.
        TrainingError: the weights cannot be fine-tuned, or the folder holds another training.
        CatalogError: no such series or probe, or the catalogue failed.
    """
    start = load_weights(request.start_from, request.device)
    preset = _preset(start, request.start_from)
    key = find_series(catalog, request.series).key
    folder = request.out or Path("finetuning") / key
    folder.mkdir(parents=True, exist_ok=True)
    pairs = folder / _PAIRS
    schedule = Schedule(
        preset=start.card.preset,
        folder=folder,
        minutes=request.minutes,
        device=request.device,
        sources=Sources(recorded=pairs, recorded_share=RECORDED_SHARE),
        start_from=request.start_from,
        seed=request.seed,
        name=f"{Path(request.start_from).stem}-{key}",
    )
    about = _pairs(request, catalog, schedule, preset, console)
    recordings = read_recordings(pairs)
    steps = steps_of(request.epochs, recordings, preset)
    schedule = replace(schedule, steps=steps, log_every=max(25, steps // 10))
    training = run_training(schedule, console)
    if training.step < steps and request.minutes is None:
        console.print("not judged yet: the weights are as far as they came")
        return None
    with console.status("judging on the views held out"):
        if training.step < steps:
            calibrate_weights(schedule.weights, preset, request.device)
        outcome = _judged(schedule, start, training.preset, read_recordings(pairs, "held_out"))
    _write_card(schedule, start, about, [one.kernel for one in recordings], outcome)
    tell_outcome(outcome, request.start_from, console)
    return outcome


def steps_of(epochs: int | None, recordings: Sequence[Recording], preset: Preset) -> int:
    """Steps in which patches cover all recordings so many times, the procedural steps between them included.

    Without a wish it is eight times, and never below what a training needs to get anywhere.
    """
    sides = [min(preset.conditions.coarse_px, *recording.coarse.shape) for recording in recordings]
    patches = sum(float(recording.coarse.size) / side**2 for recording, side in zip(recordings, sides, strict=True))
    steps: int = ceil((epochs or _EPOCHS) * patches / preset.batch / RECORDED_SHARE)
    return max(1 if epochs else _LEAST_STEPS, steps)


def _preset(start: TrainedNetwork, name: str) -> Preset:
    card = start.card
    if card.preset not in PRESETS:
        raise TrainingError(f"{name} was trained by {card.preset!r}, which is no preset here: start from other weights")
    return PRESETS[card.preset]


def _pairs(request: Request, catalog: Catalog, schedule: Schedule, preset: Preset, console: Console) -> SeriesPairs:
    """Those that a training in the folder began with, else new ones from the catalogue."""
    path = schedule.folder / _PAIRS
    if schedule.checkpoint.exists() and path.exists():
        about = read_about(path)
        same_elements = not request.elements or set(request.elements) == set(about.elements)
        if about.series_uid != find_series(catalog, request.series).series_uid or not same_elements:
            raise TrainingError(
                f"{schedule.folder} holds a training on {', '.join(about.elements)} of series {about.series_key}: pass "
                "another folder to --out"
            )
        console.print(f"going on with the pairs in {path}; another --out takes what the series has by now")
        return about
    scales = [scale for scale, _ in preset.conditions.scales]
    with progress_bar(console) as progress:
        task = progress.add_task("pairs", total=None, figure="registering fine scans on coarse ones")
        about = collect_pairs(
            catalog,
            request.series,
            path,
            request.elements,
            scales,
            lambda done, of: progress.update(task, completed=done, total=of),
        )
    _describe(about, console)
    return about


def _describe(about: SeriesPairs, console: Console) -> None:
    shifts = np.array(about.shifts_nm)
    console.print(
        f"pairs of {', '.join(about.elements)} at {len(about.learnt_deg)} angles to learn from, "
        f"{len(about.held_out_deg)} held out ({', '.join(f'{angle:g}' for angle in about.held_out_deg)} deg); fine "
        f"scans of {about.fine_step_nm:g} nm beside {about.step_nm:g} nm, scale {about.scale}; found up to "
        f"{np.abs(shifts).max():.1f} nm from their places"
    )
    for reason in about.left_out:
        console.print(f"[yellow]left out:[/] {reason}", highlight=False)


def _judged(schedule: Schedule, start: TrainedNetwork, preset: Preset, held_out: Sequence[Recording]) -> Outcome:
    device = schedule.device
    tuned = load_weights(str(schedule.weights), device)
    validation = Validation(preset, device)
    draw_held_out(start.module, tuned.module, held_out, device, schedule.folder / _PICTURE)
    return Outcome(
        weights=schedule.weights,
        before=explained(start.module, held_out, device),
        after=explained(tuned.module, held_out, device),
        before_db=validation.psnr_db(start.module),
        after_db=validation.psnr_db(tuned.module),
    )


def _write_card(
    schedule: Schedule,
    start: TrainedNetwork,
    about: SeriesPairs,
    kernels: Sequence[np.ndarray[tuple[int, int], np.dtype[np.float32]]],
    outcome: Outcome,
) -> None:
    tuned = load_weights(str(schedule.weights))
    figures = {
        **tuned.card.figures,
        "validation_psnr_db_before": outcome.before_db,
        **{f"held_out_fine_chi_squared_{name}": float(values.mean()) for name, values in _rows(outcome, "fine")},
        **{f"held_out_coarse_chi_squared_{name}": float(values.mean()) for name, values in _rows(outcome, "coarse")},
        "held_out_maps": float(len(outcome.after.fine)),
        "held_out_maps_better": float((outcome.after.fine < outcome.before.fine).sum()),
    }
    card = replace(
        tuned.card,
        figures=figures,
        trained_on=f"series {about.series_key}, {_LICENCE}; {tuned.card.trained_on}",
        probe_range=tuned.card.probe_range and widened(tuned.card.probe_range, kernels, about.scale),
        fine_tuning={
            **asdict(about),
            "start_from": schedule.start_from,
            "start_digest": start.digest,
            "licence": _LICENCE,
            "recorded_share": RECORDED_SHARE,
        },
    )
    save_weights(schedule.folder, schedule.weights.stem, tuned.module, card)


def _rows(outcome: Outcome, scan: str) -> list[tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    linear = getattr(outcome.before, f"linear_{scan}")
    known = [] if np.isnan(linear).any() else [("linear", linear)]
    return [*known, ("before", getattr(outcome.before, scan)), ("after", getattr(outcome.after, scan))]


def tell_outcome(outcome: Outcome, start_from: str, console: Console) -> None:
    """A table, a warning where something got worse, and how to choose the weights where they help."""
    table = Table("", "linear", "before", "after", title="views held out; chi^2 of the truth is about 1 or below")
    for scan in ("fine", "coarse"):
        means = {name: f"{values.mean():.3f}" for name, values in _rows(outcome, scan)}
        said = "not seen by the network" if scan == "fine" else "seen: below 1 follows noise"
        table.add_row(f"chi^2 of {scan} readings ({said})", means.get("linear", ""), means["before"], means["after"])
    table.add_row("procedural maps, dB", "", f"{outcome.before_db:.2f}", f"{outcome.after_db:.2f}")
    console.print(table)
    better, of = int((outcome.after.fine < outcome.before.fine).sum()), len(outcome.after.fine)
    said = f"{better} of {of} held-out maps are explained better than by {start_from}"
    if outcome.before_db - outcome.after_db > _FORGOTTEN_DB:
        lost = outcome.before_db - outcome.after_db
        console.print(f"[yellow]warning:[/] {lost:.2f} dB lost on other specimens: use these weights for this one only")
    if not outcome.is_better:
        console.print(f"[yellow]warning:[/] fine-tuning did not help: {said}. Stay with {start_from}.")
        return
    path = shlex.quote(str(outcome.weights.resolve()))
    console.print(f"{said}. {start_from} stays as it is; to choose the new weights:")
    console.print(f"  settings     worker.enhancer: {path}", soft_wrap=True, highlight=False)
    console.print(f"  environment  SUBPROBE_WORKER__ENHANCER={path}", soft_wrap=True, highlight=False)
    console.print(f"  a file       subprobe enhance --model {path} ...", soft_wrap=True, highlight=False)
