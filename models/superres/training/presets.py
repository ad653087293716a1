"""Recipes of training, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from models.superres.pairs.probes import PAPERS_OPTICS
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
        schedule: "cosine" down to a hundredth; "halving" five times, at equal intervals; "steady" and only in the last
            quarter down to a hundredth, so that a training may still be made longer.
        warm_up: steps.
        spectrum_gain: factor on the learning rate of an error spectrum's few numbers.
        ema_decay: of the averaged weights, which are those that are shipped; 0 for none.
        loss: "staged" or "absolute" or "sobel".
        bfloat16: convolutions in bfloat16 on a CPU too, twice as fast where it has such instructions; a GPU always
            takes them.
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
    bfloat16: bool = False
    seed: int = 1


_FINE_TUNING = 0.1


def fine_tuning(preset: Preset) -> Preset:
    """The preset at a tenth of its learning rate, for trained weights.

    Adam's first steps are as long as the rate says, however small the gradient: at the full rate they lead away from
    what was learnt. From the shipped weights, 20 steps of two 20 x 20 patches cost 1.4 dB of validation at the full
    rate, 0.1 dB at 0.3 of it, and gained 0.2 dB at 0.1 of it.
    """
    return replace(preset, learning_rate=_FINE_TUNING * preset.learning_rate)


_PAPERS = Preset(
    network="dual_branch",
    conditions=Conditions(scales=((4, 1.0),), coarse_px=64, holed_share=0.0, fixed_optics=PAPERS_OPTICS),
    n_images=6280,
    n_steps=250 * 6280 // 16,
    batch=16,
    learning_rate=1e-4,
    schedule="halving",
    warm_up=0,
    ema_decay=0.0,
    loss="absolute",
)
"""Patches of 64 x 64 to 256 x 256, 250 times 6280 of them, Adam, L1, learning rate halved: Zheng et al.; they give no
batch size and no noise (ours: counts), and images are procedural here."""


def _scaled_down(preset: Preset, **config: object) -> Preset:
    """For a machine without a GPU: a smaller network on 7100 steps of 8 patches of 40 x 40, as `unrolled` first had."""
    return replace(
        preset,
        config=config,
        conditions=replace(preset.conditions, coarse_px=40),
        n_images=600,
        n_steps=7100,
        batch=8,
        learning_rate=6e-4,
        schedule="cosine",
        warm_up=50,
        ema_decay=0.998,
        bfloat16=True,
    )


_RDN = replace(_PAPERS, network="rdn")
_RESIDUAL = replace(_PAPERS, network="residual", loss="sobel")

PRESETS: dict[str, Preset] = {
    "unrolled": Preset(network="unrolled"),
    "dual_branch": _PAPERS,
    "rdn": _RDN,
    "residual": _RESIDUAL,
    "dual_branch_small": _scaled_down(_PAPERS, n_multi_scale=2, n_groups=2, n_blocks=3, two_levels=False),
    "rdn_small": _scaled_down(_RDN, channels=32, growth=32, n_blocks=4, n_convolutions=4),
    "residual_small": _scaled_down(_RESIDUAL, channels=32),
}
"""The small ones have 1.149 M, 0.487 M and 0.380 M weights."""
