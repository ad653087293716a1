"""`subprobe train` trains, shows how far it is, stops when told, and goes on where it was."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from models.superres.evaluation import calibration
from models.superres.networks.weights import load_weights
from models.superres.pairs.simulate import Conditions
from models.superres.training import presets
from services.training.run import Schedule, TrainingError, run_training

TINY = presets.Preset(
    network="unrolled",
    config={"n_stages": 1, "n_blocks": 1, "channels": 8},
    conditions=Conditions(coarse_px=10),
    n_images=2,
    n_steps=4,
    batch=1,
)


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setattr(calibration, "LEVELS", (100.0,))


def _run(schedule: Schedule) -> str:
    output = io.StringIO()
    run_training(schedule, Console(file=output, width=200))
    return output.getvalue()


@pytest.mark.usefixtures("tiny_preset")
def test_training_leaves_weights_with_a_card_and_a_log(tmp_path: Path) -> None:
    said = _run(Schedule("tiny", tmp_path, log_every=2))
    assert "from step 0 of 4" in said
    assert "validation" in said
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[-1]["validation_psnr_db"]) > 5
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert (card["steps"], card["seed"], card["network"]) == (4, TINY.seed, "unrolled")
    assert load_weights(str(tmp_path / "tiny.safetensors")).card.figures["validation_psnr_db"] > 5


@pytest.mark.usefixtures("tiny_preset")
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _run(Schedule("tiny", whole))
    _run(Schedule("tiny", parts, minutes=0))
    assert "from step 1 of 4" in _run(Schedule("tiny", parts))
    first, second = ((folder / "tiny.safetensors").read_bytes() for folder in (whole, parts))
    assert first == second


@pytest.mark.usefixtures("tiny_preset")
def test_another_preset_in_the_same_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(Schedule("tiny", tmp_path, minutes=0))
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(TINY, batch=2))
    with pytest.raises(TrainingError, match="another preset"):
        _run(Schedule("tiny", tmp_path))


def test_an_unknown_preset_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no preset 'rocket': choose one of .*unrolled"):
        _run(Schedule("rocket", tmp_path))
