"""Checkpoints: plain tensors and a JSON header in one safetensors file; never pickled classes."""

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.superres.training.loop import Training, own_source
from models.superres.training.presets import Preset

_FORMAT = "subprobe-training-1"


def save_training(path: Path, training: Training) -> None:
    """Write all that `load_training` needs to go on exactly here; the file is replaced in one go."""
    tensors = {f"network.{name}": value for name, value in training.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in training.averaged.state_dict().items()}
    for index, state in training.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    header = {"format": _FORMAT, "step": str(training.step), **_recipe(training)}
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, header)
    partial.replace(path)


def load_training(path: Path, fresh: Training) -> Training:
    """A training as it was saved, in place of a fresh one of the same recipe.

    Raises:
        ValueError: the file is no checkpoint of a training, or one with another preset, other pairs or other weights to
            start from.
    """
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path} is no checkpoint of a training: start again, or name one that `subprobe train` wrote")
    _check_recipe(path, header, fresh)
    tensors = load_file(path, str(next(fresh.network.parameters()).device))
    fresh.network.load_state_dict(_part(tensors, "network."))
    fresh.averaged.load_state_dict(_part(tensors, "averaged."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimiser.").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    groups = fresh.optimiser.state_dict()["param_groups"]
    fresh.optimiser.load_state_dict({"state": state, "param_groups": groups})
    fresh.step = int(header["step"])
    return fresh


def preset_digest(preset: Preset) -> str:
    """Changes with anything that a preset says, besides the length of the training."""
    said = asdict(preset) | {"n_steps": None}
    return sha256(json.dumps(said, sort_keys=True, default=list).encode()).hexdigest()[:16]


def weights_digest(network: nn.Module) -> str:
    """Of every weight, bit for bit."""
    digest = sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _recipe(training: Training) -> dict[str, str]:
    return {
        "preset": preset_digest(training.preset),
        "source": training.source.description,
        "started_from": training.started_from,
    }


def _check_recipe(path: Path, header: dict[str, str], fresh: Training) -> None:
    """Checkpoints that name no source are older than the choice: procedural maps, from random weights."""
    saved = {"source": own_source(fresh.preset).description, "started_from": "", **header}
    own = _recipe(fresh)
    if saved["preset"] != own["preset"]:
        raise ValueError(f"{path} was written with another preset: go on with that one, or start in another folder")
    if saved["source"] != own["source"]:
        raise ValueError(
            f"{path} was trained on other pairs, {saved['source']}, and not on {own['source']}: go on with those, or "
            "start in another folder"
        )
    if saved["started_from"] != own["started_from"]:
        said, now = (weights or "none" for weights in (saved["started_from"], own["started_from"]))
        raise ValueError(
            f"{path} was started from other weights (digest {said}, now {now}): pass those, or start in another folder"
        )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
