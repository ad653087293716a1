"""Training is a function of its preset: the same seed gives the same weights, also with an interruption."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.simulate import Conditions
from models.superres.training.checkpoint import load_training, save_training, weights_digest
from models.superres.training.loop import Training, schedule, start, train
from models.superres.training.presets import PRESETS, Preset

TINY = Preset(
    network="unrolled",
    config={"n_stages": 2, "n_blocks": 1, "channels": 8},
    conditions=Conditions(coarse_px=12, holed_share=0.5),
    n_images=2,
    n_steps=6,
    batch=2,
    warm_up=2,
)


@pytest.fixture(scope="module")
def maps() -> ProceduralMaps:
    return ProceduralMaps(TINY.seed, TINY.n_images)


def _trained(training: Training, maps: ProceduralMaps, until: int | None = None) -> Training:
    for report in train(training, maps, until):
        assert not report.skipped
    return training


def test_two_trainings_of_one_seed_give_one_digest(maps: ProceduralMaps) -> None:
    digests = {weights_digest(_trained(start(TINY), maps).averaged) for _ in range(2)}
    other = weights_digest(_trained(start(replace(TINY, seed=2)), maps).averaged)
    assert len(digests) == 1
    assert other not in digests


def test_an_interrupted_training_goes_on_bit_for_bit(maps: ProceduralMaps, tmp_path: Path) -> None:
    whole = _trained(start(TINY), maps)
    first = _trained(start(TINY), maps, until=3)
    save_training(tmp_path / "state.safetensors", first)
    resumed = _trained(load_training(tmp_path / "state.safetensors", TINY), maps)
    assert resumed.step == whole.step == 6
    assert weights_digest(resumed.network) == weights_digest(whole.network)
    assert weights_digest(resumed.averaged) == weights_digest(whole.averaged)


def test_a_checkpoint_of_another_preset_is_refused(tmp_path: Path) -> None:
    save_training(tmp_path / "state.safetensors", start(TINY))
    with pytest.raises(ValueError, match="another preset"):
        load_training(tmp_path / "state.safetensors", replace(TINY, batch=3))


def test_training_lowers_the_error_on_the_pairs_it_sees(maps: ProceduralMaps) -> None:
    preset = replace(TINY, n_steps=40, learning_rate=3e-3, conditions=Conditions(coarse_px=12, scales=((2, 1.0),)))
    training = start(preset)
    errors = [report.loss for report in train(training, maps)]
    assert sum(errors[-10:]) < sum(errors[:10])


def test_learning_rate_warms_up_and_falls() -> None:
    preset = replace(TINY, n_steps=100, warm_up=10)
    shares = [schedule(preset, step) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) > 0.95
    assert shares[-1] == pytest.approx(0.01, abs=0.005)
    halving = [schedule(replace(preset, schedule="halving"), step) for step in (50, 99)]
    assert halving == [0.25, 0.0625]


def test_presets_build() -> None:
    for preset in PRESETS.values():
        assert sum(weights.numel() for weights in start(preset).network.parameters()) > 1e5


def test_random_state_of_the_caller_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    start(TINY)
    assert torch.equal(torch.rand(1), expected)
