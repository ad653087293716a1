"""The training loop: a generator that yields after every step; whoever runs it shows and saves what it likes."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.superres.networks.losses import sobel_error
from models.superres.networks.prediction import Prediction
from models.superres.networks.table import build
from models.superres.networks.unrolled import Unrolled
from models.superres.networks.weights import TrainedNetwork
from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.simulate import Pairs
from models.superres.pairs.source import PairSource, SimulatedPairs
from models.superres.training.losses import absolute_error, staged_error
from models.superres.training.presets import Preset
from models.superres.training.team import ALONE, Team
from models.superres.training.through_scan import seen_difference, seen_error

_CLIP_NORM = 1.0
_LEAST_SHARE = 0.01
_HALVINGS = 5
_LAST_SHARE = 0.25

LOSSES: dict[str, Callable[[Prediction, Tensor], Tensor]] = {
    "staged": staged_error,
    "absolute": absolute_error,
    "sobel": sobel_error,
}


@dataclass
class Training:
    """All that a training needs to go on from where it stands, bit for bit on the CPU.

    Attributes:
        preset: the recipe.
        source: of the pairs.
        started_from: digest of the weights that it started from; empty for random ones.
        network: with the present weights.
        averaged: with their exponential moving average; what is shipped.
        optimiser: Adam.
        step: steps done.
    """

    preset: Preset
    source: PairSource
    started_from: str
    network: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Adam
    step: int = 0


@dataclass(frozen=True)
class StepReport:
    """What came of one step.

    Attributes:
        step: its number, from 1.
        loss: as minimised, of the pairs that this process drew.
        error: mean absolute error of the same, maps being about 1 high.
        learning_rate: of the weights.
        skipped: the gradient was not finite and the weights stayed.
    """

    step: int
    loss: float
    error: float
    learning_rate: float
    skipped: bool


def start(
    preset: Preset,
    device: str = "cpu",
    source: PairSource | None = None,
    weights: TrainedNetwork | None = None,
) -> Training:
    """A training at its first step; the same weights for the same seed.

    Args:
        preset: the recipe.
        device: of torch.
        source: of the pairs; None: scans of the preset's procedural maps.
        weights: to start from; None: random ones.

    Raises:
        ValueError: the weights are of another network than the preset's, or of one built with another config.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(preset.seed)
        network = build(preset.network, preset.config)
    if weights is not None:
        _take(network, weights, preset)
    averaged = deepcopy(network)
    for module in (network, averaged):
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged.requires_grad_(False)
    started_from = "" if weights is None else weights.digest
    return Training(preset, source or own_source(preset), started_from, network, averaged, _optimiser(network, preset))


def own_source(preset: Preset) -> PairSource:
    """Scans of the preset's procedural maps."""
    return SimulatedPairs(ProceduralMaps(preset.seed, preset.n_images), preset.conditions)


def train(training: Training, until: int | None = None, team: Team = ALONE) -> Iterator[StepReport]:
    """Train in place, to the end of the preset's schedule or to a step before; yields after every step.

    Several processes each draw their part of the batch, with seeds of their own (`Team.seed`), and mean their
    gradients: their weights stay equal. Pairs then depend on how many processes there are, and so does the result.

    Args:
        training: changed by every step; the same in all processes of a team.
        until: last step; the learning rate follows the whole schedule all the same.
        team: of more than one process only within a process group of torch.

    Raises:
        ValueError: the batch cannot be split among the team.
    """
    preset = training.preset
    part, seed = team.part_of(preset.batch), team.seed(preset.seed)
    device = str(next(training.network.parameters()).device)
    training.network.train()
    objective = _joined(_Objective(training.network, preset), team)
    while training.step < min(preset.n_steps, until or preset.n_steps):
        pairs = training.source.draw(part, seed, training.step, device)
        rate = preset.learning_rate * schedule(preset, training.step)
        for group in training.optimiser.param_groups:
            group["lr"] = rate * group["gain"]
        loss, error = objective(pairs)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(training.network.parameters(), _CLIP_NORM)
        finite = bool(torch.isfinite(norm))
        if finite:
            training.optimiser.step()
            _average(training)
        training.step += 1
        yield StepReport(training.step, loss.item(), error.item(), rate, skipped=not finite)


def schedule(preset: Preset, step: int) -> float:
    """Share of the learning rate at a step."""
    warm = min(1.0, (step + 1) / max(1, preset.warm_up))
    done = step / preset.n_steps
    if preset.schedule == "halving":
        return warm * 0.5 ** int(done * _HALVINGS)
    if preset.schedule == "steady":
        return warm * max(_LEAST_SHARE, min(1.0, (1 - done) / _LAST_SHARE))
    return warm * max(_LEAST_SHARE, (1 + math.cos(math.pi * done)) / 2)


class _Objective(nn.Module):
    """Network and loss in one, so that what a loss does not depend on is seen from outside."""

    def __init__(self, network: nn.Module, preset: Preset) -> None:
        super().__init__()
        self.network = network
        self._loss = LOSSES[preset.loss]
        self._bfloat16_on_cpu = preset.bfloat16

    def forward(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Loss, and mean absolute error without a gradient."""
        device = pairs.fine.device.type
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or self._bfloat16_on_cpu):
            prediction = self.network(pairs.measured)
        if pairs.fine_scan is not None:
            return seen_error(prediction, pairs.fine_scan), seen_difference(prediction, pairs.fine_scan).detach()
        return self._loss(prediction, pairs.fine), absolute_error(prediction, pairs.fine).detach()


def _joined(objective: _Objective, team: Team) -> nn.Module:
    if team.size == 1:
        return objective
    # A step leaves the layers of other scales out, and one through a fine scan the scale of the error: only `Unrolled`
    # has either.
    some_unused = isinstance(objective.network, Unrolled)
    return DistributedDataParallel(objective, find_unused_parameters=some_unused)


def _take(network: nn.Module, weights: TrainedNetwork, preset: Preset) -> None:
    card = weights.card
    if card.network != preset.network or weights.module.config != network.config:
        raise ValueError(
            f"the weights are of {card.network} with {weights.module.config}, the preset is for {preset.network} with "
            f"{network.config}: start from weights of the same network, or choose the preset {card.preset!r}"
        )
    network.load_state_dict(weights.module.state_dict())


def _optimiser(network: nn.Module, preset: Preset) -> torch.optim.Adam:
    spectrum = network.spectrum_parameters() if isinstance(network, Unrolled) else []
    apart = {id(parameter) for parameter in spectrum}
    weights = [parameter for parameter in network.parameters() if id(parameter) not in apart]
    groups = [{"params": weights, "gain": 1.0}, {"params": spectrum, "gain": preset.spectrum_gain}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=preset.learning_rate, betas=(0.9, 0.99))


@torch.no_grad()
def _average(training: Training) -> None:
    decay = min(training.preset.ema_decay, (1 + training.step) / (10 + training.step))
    for kept, new in zip(training.averaged.parameters(), training.network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
