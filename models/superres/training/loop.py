"""The training loop: a generator that yields after every step; whoever runs it shows and saves what it likes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.superres.networks.losses import sobel_error
from models.superres.networks.prediction import Prediction
from models.superres.networks.table import build
from models.superres.networks.unrolled import Unrolled
from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.simulate import FineMaps, draw_pairs
from models.superres.training.losses import absolute_error, staged_error
from models.superres.training.presets import Preset

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
        network: with the present weights.
        averaged: with their exponential moving average; what is shipped.
        optimiser: Adam.
        step: steps done.
    """

    preset: Preset
    network: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Adam
    step: int = 0


@dataclass(frozen=True)
class StepReport:
    """What came of one step.

    Attributes:
        step: its number, from 1.
        loss: as minimised.
        error: mean absolute error of the batch, maps being about 1 high.
        learning_rate: of the weights.
        skipped: the gradient was not finite and the weights stayed.
    """

    step: int
    loss: float
    error: float
    learning_rate: float
    skipped: bool


def start(preset: Preset, device: str = "cpu") -> Training:
    """A training at its first step; the same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(preset.seed)
        network, averaged = build(preset.network, preset.config), build(preset.network, preset.config)
    averaged.load_state_dict(network.state_dict())
    for module in (network, averaged):
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged.requires_grad_(False)
    return Training(preset, network, averaged, _optimiser(network, preset))


def train(training: Training, fine_maps: FineMaps | None = None, until: int | None = None) -> Iterator[StepReport]:
    """Train in place, to the end of the preset's schedule or to a step before; yields after every step.

    Args:
        training: changed by every step.
        fine_maps: where patches come from; None: the preset's procedural images.
        until: last step; the learning rate follows the whole schedule all the same.
    """
    preset = training.preset
    fine_maps = fine_maps or ProceduralMaps(preset.seed, preset.n_images)
    device = str(next(training.network.parameters()).device)
    training.network.train()
    while training.step < min(preset.n_steps, until or preset.n_steps):
        pairs = draw_pairs(fine_maps, preset.conditions, preset.batch, preset.seed, training.step, device)
        rate = preset.learning_rate * schedule(preset, training.step)
        for group in training.optimiser.param_groups:
            group["lr"] = rate * group["gain"]
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            prediction = training.network(pairs.measured)
        loss = LOSSES[preset.loss](prediction, pairs.fine)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(training.network.parameters(), _CLIP_NORM)
        finite = bool(torch.isfinite(norm))
        if finite:
            training.optimiser.step()
            _average(training)
        training.step += 1
        error = absolute_error(prediction, pairs.fine).item()
        yield StepReport(training.step, loss.item(), error, rate, skipped=not finite)


def schedule(preset: Preset, step: int) -> float:
    """Share of the learning rate at a step."""
    warm = min(1.0, (step + 1) / max(1, preset.warm_up))
    done = step / preset.n_steps
    if preset.schedule == "halving":
        return warm * 0.5 ** int(done * _HALVINGS)
    if preset.schedule == "steady":
        return warm * max(_LEAST_SHARE, min(1.0, (1 - done) / _LAST_SHARE))
    return warm * max(_LEAST_SHARE, (1 + math.cos(math.pi * done)) / 2)


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
