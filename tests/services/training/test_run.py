"""`subprobe train` trains, shows how far it is, stops when told, and goes on where it was."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from training_files import write_recordings

from models.superres.evaluation import calibration
from models.superres.networks.weights import load_weights
from models.superres.pairs.probes import PAPERS_OPTICS
from models.superres.pairs.simulate import Conditions
from models.superres.training import presets
from models.superres.training.loop import Training
from services.training.run import Schedule, TrainingError, run_training
from services.training.sources import Sources

TINY = presets.Preset(
    network="unrolled",
    config={"n_stages": 1, "n_blocks": 1, "channels": 8},
    conditions=Conditions(coarse_px=10, fixed_optics=PAPERS_OPTICS),
    n_images=1,
    n_steps=4,
    batch=1,
)


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setattr(calibration, "LEVELS", (100.0,))


def _trained(schedule: Schedule) -> Training:
    return run_training(schedule, Console(quiet=True))


def _run(schedule: Schedule) -> str:
    output = io.StringIO()
    run_training(schedule, Console(file=output, width=200))
    return output.getvalue()


@pytest.mark.usefixtures("tiny_preset")
def test_what_the_user_says_goes_before_the_preset(tmp_path: Path) -> None:
    training = _trained(Schedule("tiny", tmp_path, steps=1, learning_rate=1e-5, bfloat16=True, seed=7))
    preset = training.preset
    assert (preset.n_steps, preset.learning_rate, preset.bfloat16, preset.seed) == (1, 1e-5, True, 7)
    assert json.loads((tmp_path / "tiny.json").read_text())["seed"] == 7


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
    _run(Schedule("tiny", whole, steps=2))
    _run(Schedule("tiny", parts, steps=2, minutes=0))
    assert "from step 1 of 2" in _run(Schedule("tiny", parts, steps=2))
    first, second = ((folder / "tiny.safetensors").read_bytes() for folder in (whole, parts))
    assert first == second


@pytest.mark.usefixtures("tiny_preset")
def test_another_preset_in_the_same_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(Schedule("tiny", tmp_path, minutes=0))
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(TINY, batch=2))
    with pytest.raises(TrainingError, match="another preset"):
        _run(Schedule("tiny", tmp_path))


@pytest.mark.usefixtures("tiny_preset")
def test_fine_tuning_with_photographs_and_recordings_says_so_on_the_card(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.new("L", (300, 200), 128).save(photographs / "grey.png")
    write_recordings(tmp_path / "pairs.h5")
    first, second = tmp_path / "first", tmp_path / "second"
    _run(Schedule("tiny", first, minutes=0))
    sources = Sources(photographs, 0.4, tmp_path / "pairs.h5", 0.5)
    tuning = Schedule("tiny", second, minutes=0, sources=sources, start_from=str(first / "tiny.safetensors"))
    training = _trained(tuning)
    assert training.preset.learning_rate == pytest.approx(TINY.learning_rate / 10)
    said = json.loads((second / "tiny.json").read_text())["trained_on"]
    for words in ("50 % of the steps from 60 % of the patches", "1 photographs of", "1 recorded pairs", "started from"):
        assert words in said
    with pytest.raises(TrainingError, match="trained on other pairs"):
        _run(replace(tuning, sources=Sources()))
    with pytest.raises(TrainingError, match="start from weights of the same network"):
        _run(Schedule("residual", tmp_path / "third", start_from=str(first / "tiny.safetensors")))


def test_an_unknown_preset_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no preset 'rocket': choose one of .*unrolled"):
        _run(Schedule("rocket", tmp_path))
