"""Training is a function of its recipe: the same seed gives the same weights, also with an interruption."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.superres.networks.measured import Measured
from models.superres.networks.table import build
from models.superres.networks.unrolled import Unrolled
from models.superres.networks.weights import Card, load_weights, save_weights
from models.superres.pairs.probes import PAPERS_OPTICS
from models.superres.pairs.simulate import Conditions, Pairs, draw_pairs
from models.superres.pairs.source import MixedPairs, PairSource, SimulatedPairs
from models.superres.training.checkpoint import load_training, save_training, weights_digest
from models.superres.training.loop import Training, own_source, schedule, start, train
from models.superres.training.presets import PRESETS, Preset, fine_tuning
from models.superres.training.team import Team
from models.superres.training.through_scan import readings_of

TINY = Preset(
    network="unrolled",
    config={"n_stages": 2, "n_blocks": 1, "channels": 8},
    conditions=Conditions(coarse_px=12, holed_share=0.5, fixed_optics=PAPERS_OPTICS),
    n_images=1,
    n_steps=6,
    batch=2,
    warm_up=2,
)


@dataclass(frozen=True)
class OneBatch:
    """The same pairs at every step."""

    pairs: Pairs
    description: str = "one batch"

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:  # noqa: ARG002
        return self.pairs


@pytest.fixture(scope="module")
def source() -> PairSource:
    return own_source(TINY)


@pytest.fixture(scope="module")
def whole(source: PairSource) -> Training:
    return _trained(start(TINY, source=source))


def _trained(training: Training, until: int | None = None) -> Training:
    for report in train(training, until):
        assert not report.skipped
    return training


def test_two_trainings_of_one_seed_give_one_digest(whole: Training, source: PairSource) -> None:
    again = _trained(start(TINY, source=source))
    other = _trained(start(replace(TINY, seed=2), source=source), until=1)
    assert weights_digest(again.averaged) == weights_digest(whole.averaged)
    assert weights_digest(other.network) != weights_digest(_trained(start(TINY, source=source), until=1).network)


def test_an_interrupted_training_goes_on_bit_for_bit(whole: Training, source: PairSource, tmp_path: Path) -> None:
    save_training(tmp_path / "state.safetensors", _trained(start(TINY, source=source), until=3))
    resumed = _trained(load_training(tmp_path / "state.safetensors", start(TINY, source=source)))
    assert resumed.step == whole.step == 6
    assert weights_digest(resumed.network) == weights_digest(whole.network)
    assert weights_digest(resumed.averaged) == weights_digest(whole.averaged)


def test_bfloat16_on_a_cpu_trains_another_network_and_goes_on_bit_for_bit(
    whole: Training, source: PairSource, tmp_path: Path
) -> None:
    narrow = replace(TINY, bfloat16=True)
    done = _trained(start(narrow, source=source))
    save_training(tmp_path / "state.safetensors", _trained(start(narrow, source=source), until=3))
    resumed = _trained(load_training(tmp_path / "state.safetensors", start(narrow, source=source)))
    assert weights_digest(resumed.network) == weights_digest(done.network) != weights_digest(whole.network)
    with pytest.raises(ValueError, match="another preset"):
        load_training(tmp_path / "state.safetensors", start(TINY, source=source))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_training(path, start(TINY))
    with pytest.raises(ValueError, match="another preset"):
        load_training(path, start(replace(TINY, batch=3)))
    with pytest.raises(ValueError, match=r"trained on other pairs, 1 procedural maps of seed 1.*not on 100 %"):
        load_training(path, start(TINY, source=MixedPairs(((1.0, own_source(TINY)),))))
    with pytest.raises(ValueError, match=r"other weights \(digest none, now "):
        load_training(path, start(TINY, weights=load_weights(_saved(start(TINY).network, tmp_path))))


def test_training_starts_from_weights_of_the_same_network_only(whole: Training, tmp_path: Path) -> None:
    weights = load_weights(_saved(whole.averaged, tmp_path))
    begun = start(replace(TINY, config=dict(TINY.config) | {"pad": 4}), weights=weights)  # 4 is the default
    assert weights_digest(begun.network) == weights_digest(begun.averaged) == weights_digest(whole.averaged)
    for other in (replace(TINY, config={"n_stages": 1}), replace(TINY, config=dict(TINY.config) | {"pad": 2})):
        with pytest.raises(ValueError, match="start from weights of the same network, or choose the preset 'tiny'"):
            start(other, weights=weights)
    assert fine_tuning(TINY).learning_rate < TINY.learning_rate


def test_training_lowers_the_error_on_the_pairs_it_sees(source: PairSource) -> None:
    preset = replace(TINY, n_steps=12, learning_rate=3e-3)
    pairs = source.draw(2, seed=0, step=0)
    losses = [report.loss for report in train(start(preset, source=OneBatch(pairs)))]
    assert losses[-1] < 0.95 * losses[0]


def test_a_batch_is_split_evenly_and_every_process_draws_its_own_pairs(source: PairSource) -> None:
    teams = [Team(rank, 2) for rank in range(2)]
    assert [team.part_of(8) for team in teams] == [4, 4]
    with pytest.raises(ValueError, match="batch of 8 pairs cannot be split among 3 processes: start 1, 2, 4, 8"):
        Team(0, 3).part_of(8)
    assert teams[0].seed(5) == Team().seed(5) == 5
    assert isinstance(source, SimulatedPairs)
    first, second = (
        draw_pairs(source.fine_maps, source.conditions, 1, team.seed(5), step=0).measured.variance for team in teams
    )
    assert first.shape != second.shape or not torch.equal(first, second)


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
        network = build(preset.network, preset.config)
        assert sum(weights.numel() for weights in network.parameters()) > 1e5


def test_random_state_of_the_caller_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    start(TINY)
    assert torch.equal(torch.rand(1), expected)


def test_bf16_convolutions_leave_the_data_steps_in_full_precision(source: PairSource) -> None:
    """With its networks silenced, the unrolled estimate is nothing but Fourier transforms."""
    network = start(TINY).network
    assert isinstance(network, Unrolled)
    for layer in network.priors.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    measured = source.draw(2, seed=0, step=0).measured
    with torch.inference_mode():
        full = network(measured).values
        with torch.autocast("cpu", torch.bfloat16):
            half = network(measured).values
    assert half.dtype == torch.float32
    assert torch.equal(half, full)


def _saved(network: nn.Module, folder: Path) -> str:
    card = Card("unrolled", dict(TINY.config), "nothing", "tiny", seed=1, steps=0, batch=2, commit="none")
    save_weights(folder, "weights", network, card)
    return str(folder / "weights.safetensors")


def test_training_through_a_fine_scan_explains_it_better_and_leaves_the_uncertainty_alone(source: PairSource) -> None:
    preset = replace(TINY, n_steps=12, learning_rate=3e-3)
    truth = source.draw(2, seed=0, step=0)
    kernel = torch.full((2, 4, 4), 1 / 16)
    readings = readings_of(truth.fine, kernel, 2)
    scan = Measured(readings, torch.full_like(readings, 1e-3), torch.ones_like(readings), kernel, 2)
    training = start(preset, source=OneBatch(replace(truth, fine=readings, fine_scan=scan)))
    network = training.network
    assert isinstance(network, Unrolled)
    before = {name: value.clone() for name, value in network.uncertainty.state_dict().items()}
    losses = [report.loss for report in train(training)]
    assert losses[-1] < 0.95 * losses[0]
    for name, value in network.uncertainty.state_dict().items():
        assert torch.equal(value, before[name]), name
