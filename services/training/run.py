"""`subprobe train`: the loop of models.superres.training with a progress bar, a log, and checkpoints to go on from."""

import csv
import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from models.superres.evaluation.calibration import calibrate
from models.superres.network import NetworkEnhancer
from models.superres.networks.weights import Card, TrainedNetwork, load_weights, save_weights
from models.superres.pairs.simulate import told_kernels
from models.superres.probe_range import ProbeRange, range_of
from models.superres.training.checkpoint import load_training, save_training, weights_digest
from models.superres.training.loop import StepReport, Training, start, train
from models.superres.training.presets import PRESETS, Preset, fine_tuning
from models.superres.training.validation import Validation
from services.errors import SubprobeError
from services.training.ranks import Ranks, joined_ranks
from services.training.sources import Sources, pair_source

log = logging.getLogger(__name__)

_CHECKPOINT = "training.safetensors"
_LOG = "log.csv"
_COLUMNS = ("step", "loss", "error", "learning_rate", "seconds", "validation_psnr_db")
_SAVE_S = 120.0
_SMOOTHED_OVER = 100
_CALIBRATION_MAPS = 20
_KERNELS = 400  # that tell the range of probes


class TrainingError(SubprobeError):
    """A training cannot start or go on."""


@dataclass(frozen=True)
class Schedule:
    """What a user says about a training.

    Attributes:
        preset: name in `PRESETS`.
        folder: for checkpoint, log and weights; a training found there goes on.
        steps: of the whole training; None: as many as the preset says.
        minutes: after which to stop and save; None: until done.
        device: of torch.
        log_every: steps between two lines of the log, each with a validation.
        sources: of pairs beside the preset's own.
        start_from: shipped weights by name, or others by path; None: random ones.
        learning_rate: at its height; None: the preset's, or a tenth of it with ``start_from``.
        bfloat16: on a CPU; None: as the preset says.
        seed: of weights and pairs; None: the preset's.
        name: of the weights' file; None: the preset's.
    """

    preset: str
    folder: Path
    steps: int | None = None
    minutes: float | None = None
    device: str = "cpu"
    log_every: int = 250
    sources: Sources = field(default_factory=Sources)
    start_from: str | None = None
    learning_rate: float | None = None
    bfloat16: bool | None = None
    seed: int | None = None
    name: str | None = None

    @property
    def weights(self) -> Path:
        """Where the weights are written to."""
        return self.folder / f"{self.name or self.preset}.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Where everything is that a training needs to go on."""
        return self.folder / _CHECKPOINT


def run_training(schedule: Schedule, console: Console) -> Training:
    """Train until the end of the schedule, the time given, or Ctrl-C; what is done is saved in each case.

    Every process that torchrun started must call this; the first one speaks and saves.

    Returns:
        The training where it ended.

    Raises:
        TrainingError: there is no such preset, weights of another network to start from, or the folder holds a
            training with another preset, other pairs or other weights to start from.
        SubprobeError: photographs or recordings cannot be read, or the processes cannot train together.
    """
    preset = _preset(schedule)
    schedule.folder.mkdir(parents=True, exist_ok=True)
    with joined_ranks(schedule.device) as ranks:
        weights = None if schedule.start_from is None else load_weights(schedule.start_from)
        training = _opened(schedule, preset, ranks, weights)
        if ranks.team.rank > 0:
            _follow(training, ranks)
            return training
        trained_on = _trained_on(training, weights)
        figures = _lead(schedule, training, ranks, console)
    # The others may leave: calibration would keep them waiting.
    with console.status("calibrating the uncertainty" if training.step >= preset.n_steps else "writing weights"):
        _write_weights(schedule, training, trained_on, figures)
    console.print(
        f"validation {figures['validation_psnr_db']:.2f} dB (bicubic {figures['bicubic_psnr_db']:.2f}); weights "
        f"{weights_digest(training.averaged)} in {schedule.weights}"
    )
    return training


def _preset(schedule: Schedule) -> Preset:
    if schedule.preset not in PRESETS:
        raise TrainingError(f"there is no preset {schedule.preset!r}: choose one of {', '.join(sorted(PRESETS))}")
    preset = PRESETS[schedule.preset]
    if schedule.start_from is not None:
        preset = fine_tuning(preset)
    wishes = {
        "n_steps": schedule.steps,
        "learning_rate": schedule.learning_rate,
        "bfloat16": schedule.bfloat16,
        "seed": schedule.seed,
    }
    return replace(preset, **{name: wish for name, wish in wishes.items() if wish is not None})  # type: ignore[arg-type]


def _opened(schedule: Schedule, preset: Preset, ranks: Ranks, weights: TrainedNetwork | None) -> Training:
    checkpoint = schedule.checkpoint
    source = pair_source(schedule.sources, preset)
    try:
        ranks.team.part_of(preset.batch)
        fresh = start(preset, ranks.device, source, weights)
        return load_training(checkpoint, fresh) if checkpoint.exists() else fresh
    except ValueError as error:
        raise TrainingError(str(error)) from error


def _follow(training: Training, ranks: Ranks) -> None:
    """What every process but the first does."""
    for _ in train(training, team=ranks.team):
        if ranks.all_stop(False):
            break


def _lead(schedule: Schedule, training: Training, ranks: Ranks, console: Console) -> dict[str, float]:
    """Train, show and save; gives the figures of the validation."""
    preset, n_processes = training.preset, ranks.team.size
    console.print(
        f"training {schedule.preset}: {sum(w.numel() for w in training.network.parameters()):,} weights on "
        f"{ranks.device}{f' and {n_processes - 1} more processes' if n_processes > 1 else ''}, from step "
        f"{training.step:,} of {preset.n_steps:,}; everything in {schedule.folder}"
    )
    with console.status("drawing pairs to validate on"):
        validation = Validation(preset, ranks.device)
    try:
        _train(schedule, training, validation, ranks, console)
    except KeyboardInterrupt:
        console.print(f"stopped at step {training.step:,}; the same command goes on from there")
    finally:
        save_training(schedule.checkpoint, training)
    return {"validation_psnr_db": validation.psnr_db(training.averaged), "bicubic_psnr_db": validation.bicubic_psnr_db}


def _train(schedule: Schedule, training: Training, validation: Validation, ranks: Ranks, console: Console) -> None:
    started = saved = time.monotonic()
    recent: list[StepReport] = []
    with progress_bar(console) as progress, _log_file(schedule.folder) as rows:
        task = progress.add_task(schedule.preset, total=training.preset.n_steps, completed=training.step, figure="")
        for report in train(training, team=ranks.team):
            recent = [*recent, report][-_SMOOTHED_OVER:]
            error = sum(past.error for past in recent) / len(recent)
            progress.update(task, completed=report.step, figure=f"error {error:.4f}")
            if report.skipped:
                log.warning("step %d: the gradient was not finite; the step is skipped", report.step)
            if report.step % schedule.log_every == 0 or report.step == training.preset.n_steps:
                psnr_db = validation.psnr_db(training.averaged)
                seconds = time.monotonic() - started
                rows.writerow((report.step, report.loss, error, report.learning_rate, round(seconds, 1), psnr_db))
                progress.console.print(f"step {report.step:,}: error {error:.4f}, validation {psnr_db:.2f} dB")
            if time.monotonic() - saved > _SAVE_S:
                save_training(schedule.checkpoint, training)
                saved = time.monotonic()
            time_is_over = schedule.minutes is not None and time.monotonic() - started > 60 * schedule.minutes
            if ranks.all_stop(time_is_over):
                break
    if ranks.told_to_stop:
        raise KeyboardInterrupt


def progress_bar(console: Console) -> Progress:
    """What every training shows; its tasks have a field ``figure``."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figure]}"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


@contextmanager
def _log_file(folder: Path) -> Iterator[Any]:
    path = folder / _LOG
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8", buffering=1) as file:
        rows = csv.writer(file)
        if is_new:
            rows.writerow(_COLUMNS)
        yield rows


def _trained_on(training: Training, weights: TrainedNetwork | None) -> str:
    pairs = training.source.description
    return pairs if weights is None else f"{pairs}; started from weights {weights.digest}: {weights.card.trained_on}"


def _write_weights(schedule: Schedule, training: Training, trained_on: str, figures: dict[str, float]) -> None:
    preset = training.preset
    card = Card(
        network=preset.network,
        config=dict(preset.config),
        trained_on=trained_on,
        preset=schedule.preset,
        seed=preset.seed,
        steps=training.step,
        batch=preset.batch,
        commit=_commit(),
        figures=figures,
        probe_range=_probe_range(preset),
    )
    save_weights(schedule.folder, schedule.weights.stem, training.averaged, card)
    if training.step >= preset.n_steps:
        calibrate_weights(schedule.weights, preset, schedule.device)


def calibrate_weights(path: Path, preset: Preset, device: str) -> None:
    """Write the calibration of weights onto their card."""
    calibration = calibrate(NetworkEnhancer(str(path), device), min(_CALIBRATION_MAPS, preset.n_images))
    trained = load_weights(str(path))
    save_weights(path.parent, path.stem, trained.module, replace(trained.card, calibration=calibration))


def _probe_range(preset: Preset) -> ProbeRange:
    scale = max(scale for scale, _ in preset.conditions.scales)
    return range_of(told_kernels(preset.conditions, scale, _KERNELS, preset.seed), scale)


def _commit() -> str:
    """Of the source tree that runs, or ``unknown`` outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
