"""`subprobe train`: the loop of models.superres.training with a progress bar, a log, and checkpoints to go on from."""

import csv
import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from models.superres.evaluation.calibration import calibrate
from models.superres.network import NetworkEnhancer
from models.superres.networks.weights import Card, save_weights
from models.superres.training.checkpoint import load_training, save_training, weights_digest
from models.superres.training.loop import StepReport, Training, start, train
from models.superres.training.presets import PRESETS, Preset
from models.superres.training.validation import Validation
from services.errors import SubprobeError

log = logging.getLogger(__name__)

_CHECKPOINT = "training.safetensors"
_LOG = "log.csv"
_COLUMNS = ("step", "loss", "error", "learning_rate", "seconds", "validation_psnr_db")
_SAVE_S = 120.0
_SMOOTHED_OVER = 100
_CALIBRATION_MAPS = 10


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
    """

    preset: str
    folder: Path
    steps: int | None = None
    minutes: float | None = None
    device: str = "cpu"
    log_every: int = 250


def run_training(schedule: Schedule, console: Console) -> None:
    """Train until the end of the schedule, the time given, or Ctrl-C; what is done is saved in each case.

    Raises:
        TrainingError: there is no such preset, or the folder holds a training with another one.
    """
    preset = _preset(schedule)
    schedule.folder.mkdir(parents=True, exist_ok=True)
    training = _opened(schedule, preset)
    console.print(
        f"training {schedule.preset}: {sum(w.numel() for w in training.network.parameters()):,} weights on "
        f"{schedule.device}, from step {training.step:,} of {preset.n_steps:,}; everything in {schedule.folder}"
    )
    with console.status("drawing pairs to validate on"):
        validation = Validation(preset, schedule.device)
    try:
        _train(schedule, training, validation, console)
    except KeyboardInterrupt:
        console.print(f"stopped at step {training.step:,}; the same command goes on from there")
    finally:
        save_training(schedule.folder / _CHECKPOINT, training)
    psnr_db = validation.psnr_db(training.averaged)
    with console.status("calibrating the uncertainty" if training.step >= preset.n_steps else "writing weights"):
        figures = {"validation_psnr_db": psnr_db, "bicubic_psnr_db": validation.bicubic_psnr_db}
        _write_weights(schedule, training, figures)
    console.print(
        f"validation {psnr_db:.2f} dB (bicubic {validation.bicubic_psnr_db:.2f}); weights "
        f"{weights_digest(training.averaged)} in {schedule.folder / schedule.preset}.safetensors"
    )


def _preset(schedule: Schedule) -> Preset:
    if schedule.preset not in PRESETS:
        raise TrainingError(f"there is no preset {schedule.preset!r}: choose one of {', '.join(sorted(PRESETS))}")
    preset = PRESETS[schedule.preset]
    return preset if schedule.steps is None else replace(preset, n_steps=schedule.steps)


def _opened(schedule: Schedule, preset: Preset) -> Training:
    checkpoint = schedule.folder / _CHECKPOINT
    if not checkpoint.exists():
        return start(preset, schedule.device)
    try:
        return load_training(checkpoint, preset, schedule.device)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def _train(schedule: Schedule, training: Training, validation: Validation, console: Console) -> None:
    started = saved = time.monotonic()
    recent: list[StepReport] = []
    with _progress(console) as progress, _log_file(schedule.folder) as rows:
        task = progress.add_task(schedule.preset, total=training.preset.n_steps, completed=training.step, figure="")
        for report in train(training):
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
                save_training(schedule.folder / _CHECKPOINT, training)
                saved = time.monotonic()
            if schedule.minutes is not None and time.monotonic() - started > 60 * schedule.minutes:
                break


def _progress(console: Console) -> Progress:
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


def _write_weights(schedule: Schedule, training: Training, figures: dict[str, float]) -> None:
    preset = training.preset
    card = Card(
        network=preset.network,
        config=dict(preset.config),
        trained_on="procedural maps drawn by models/superres/pairs; no photographs; licence BSD-3-Clause as the code",
        preset=schedule.preset,
        seed=preset.seed,
        steps=training.step,
        batch=preset.batch,
        commit=_commit(),
        figures=figures,
    )
    save_weights(schedule.folder, schedule.preset, training.averaged, card)
    if training.step >= preset.n_steps:
        path = schedule.folder / f"{schedule.preset}.safetensors"
        enhancer = NetworkEnhancer(str(path), schedule.device)
        card = replace(card, calibration=calibrate(enhancer, min(_CALIBRATION_MAPS, preset.n_images)))
        save_weights(schedule.folder, schedule.preset, training.averaged, card)


def _commit() -> str:
    """Of the source tree that runs, or ``unknown`` outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
