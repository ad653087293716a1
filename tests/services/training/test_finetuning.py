"""What a fine-tuning says of itself, and how long it is; the whole of it is in tests/pipeline/test_finetune.py."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.superres.pairs.recording import Recording
from models.superres.training.judging import Explained
from models.superres.training.presets import PRESETS
from services.training.finetuning import Outcome, steps_of, tell_outcome


def _outcome(before: float, after: float, after_db: float = 28.0) -> Outcome:
    def explained(fine: float) -> Explained:
        two = np.array([fine, fine + 0.1])
        return Explained(two, two / 2, two + 1, two / 2)

    return Outcome(Path("/weights of mine/unrolled-7.safetensors"), explained(before), explained(after), 28.0, after_db)


def _told(outcome: Outcome) -> str:
    said = io.StringIO()
    tell_outcome(outcome, "unrolled", Console(file=said, width=200))
    return said.getvalue()


def test_better_weights_come_with_how_to_choose_them() -> None:
    said = _told(_outcome(2.0, 1.5))
    assert "2 of 2 held-out maps are explained better than by unrolled" in said
    assert "worker.enhancer: '/weights of mine/unrolled-7.safetensors'" in said
    assert "SUBPROBE_WORKER__ENHANCER='/weights of mine/unrolled-7.safetensors'" in said
    assert "warning" not in said


def test_worse_weights_come_with_a_warning_to_stay() -> None:
    said = _told(_outcome(1.5, 2.0))
    assert "fine-tuning did not help: 0 of 2 held-out maps are explained better" in said
    assert "Stay with unrolled" in said
    assert "SUBPROBE_WORKER__ENHANCER" not in said


def test_what_was_forgotten_is_said() -> None:
    assert "0.50 dB lost on other specimens" in _told(_outcome(2.0, 1.5, after_db=27.5))


@pytest.mark.parametrize(("epochs", "steps"), [(1, 3), (8, 18), (None, 240)])
def test_steps_cover_the_maps_as_often_as_wished_and_by_default_long_enough(epochs: int | None, steps: int) -> None:
    """Nine patches of 40 x 40 in batches of 8, every second step on them."""
    side = 120
    plane = np.ones((side, side), np.float32)
    kernel = np.full((4, 4), 1 / 16, np.float32)
    fine = np.ones((4 * side, 4 * side), np.float32)
    recording = Recording(plane, plane, plane > 0, fine, kernel, 4)
    assert steps_of(epochs, [recording], PRESETS["unrolled"]) == steps
