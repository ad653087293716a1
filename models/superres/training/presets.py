"""Recipes of training, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.superres.pairs.simulate import Conditions


@dataclass(frozen=True)
class Preset:
    """Everything that a training depends on, besides the length that a user may shorten.

    Attributes:
        network: name in `models.superres.networks.table.NETWORKS`.
        config: of the network.
        conditions: of the pairs.
        n_images: procedural images that patches are cut from.
        n_steps: of the whole training.
        batch: pairs of a step.
        learning_rate: at its height.
        schedule: "cosine" down to a hundredth, or "halving" five times, at equal intervals.
        warm_up: steps.
        spectrum_gain: factor on the learning rate of an error spectrum's few numbers.
        ema_decay: of the averaged weights, which are those that are shipped; 0 for none.
        loss: "staged" or "absolute" or "sobel".
        seed: of weights and pairs.
    """

    network: str
    config: Mapping[str, object] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)
    n_images: int = 600
    n_steps: int = 20_000
    batch: int = 8
    learning_rate: float = 6e-4
    schedule: str = "cosine"
    warm_up: int = 50
    spectrum_gain: float = 25.0
    ema_decay: float = 0.998
    loss: str = "staged"
    seed: int = 1


PRESETS: dict[str, Preset] = {
    "unrolled": Preset(network="unrolled"),
}
