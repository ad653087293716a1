"""Trained weights: a safetensors file and a card that says where they come from and what they can do."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from models.superres.enhancer import NOT_CALIBRATED, Calibration
from models.superres.networks.table import build
from models.superres.probe_range import ProbeRange

WEIGHTS_FOLDER = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class Card:
    """What stands beside a weights file, as JSON.

    Attributes:
        network: name in the table of networks.
        config: that it was built with.
        trained_on: the data, in words, with their licence.
        preset: name of the training's recipe.
        seed: of the training.
        steps: done.
        batch: pairs of a step.
        commit: of the code that trained it.
        figures: what was measured with it, by name.
        calibration: of its uncertainty, conformal.
        probe_range: of the kernels that it was trained with; None: not known.
        fine_tuning: what `subprobe finetune` learnt from and found, by name; empty for other weights.
    """

    network: str
    config: Mapping[str, Any]
    trained_on: str
    preset: str
    seed: int
    steps: int
    batch: int
    commit: str
    figures: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration = NOT_CALIBRATED
    probe_range: ProbeRange | None = None
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedNetwork:
    """A network ready for use, with its card and a digest of both weights and calibration."""

    module: nn.Module
    card: Card
    digest: str


def save_weights(folder: Path, name: str, network: nn.Module, card: Card) -> None:
    """Write ``<name>.safetensors`` and ``<name>.json``."""
    tensors = {key: value.detach().to("cpu").contiguous() for key, value in network.state_dict().items()}
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")


def load_weights(name_or_path: str, device: str = "cpu") -> TrainedNetwork:
    """Weights that come with subprobe, by name, or any others by the path of their safetensors file.

    Raises:
        FileNotFoundError: there are none of that name or at that path, or no card beside them.
        ValueError: the card does not fit the weights.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = WEIGHTS_FOLDER / f"{name_or_path}.safetensors"
    if not path.exists():
        shipped = ", ".join(shipped_weights()) or "none"
        raise FileNotFoundError(f"no weights at {path}: pass a .safetensors file, or one of those shipped: {shipped}")
    card = _read_card(path.with_suffix(".json"))
    module = build(card.network, card.config)
    try:
        module.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit its card, a {card.network} of {dict(card.config)}") from error
    digest = sha256(path.read_bytes() + repr((card.calibration, card.probe_range)).encode()).hexdigest()[:16]
    return TrainedNetwork(module.to(device).eval().requires_grad_(False), card, digest)


def _read_card(path: Path) -> Card:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        factors = {
            kind: tuple((float(counts), float(factor)) for counts, factor in table)
            for kind, table in said.get("calibration", {}).items()
        }
        return Card(**{**said, "calibration": Calibration(**factors), "probe_range": _probe_range(said)})
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no card {path} beside the weights: copy it too") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no card of weights ({error}): copy the one that `subprobe train` wrote") from error


def _probe_range(said: Mapping[str, Any]) -> ProbeRange | None:
    if said.get("probe_range") is None:
        return None
    narrow, wide = ((float(least), float(most)) for least, most in said["probe_range"])
    return narrow, wide


def shipped_weights() -> list[str]:
    """Names of the weights that come with subprobe."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob("*.safetensors"))
