"""Where training pairs come from: one contract, scans that are simulated, and mixtures."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.superres.pairs.simulate import Conditions, FineMaps, Pairs, draw_pairs

_CHOICE = 1  # keeps the choice of a part apart from what the part itself draws at that seed and step


class PairSource(Protocol):
    """Endless pairs that follow from seed and step alone."""

    @property
    def description(self) -> str:
        """In words, with licence, for a card; changes with anything that the pairs depend on."""

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        """The pairs of one training step, all of one scale and size; the same whatever was drawn before."""


@dataclass(frozen=True)
class SimulatedPairs:
    """Random scans of fine maps.

    Attributes:
        fine_maps: the specimens.
        conditions: of the scans; not described, since a preset holds them.
    """

    fine_maps: FineMaps
    conditions: Conditions

    @property
    def description(self) -> str:
        """That of the fine maps."""
        return self.fine_maps.description

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        """See `models.superres.pairs.simulate.draw_pairs`."""
        return draw_pairs(self.fine_maps, self.conditions, batch, seed, step, device)


@dataclass(frozen=True)
class MixedPairs:
    """Each step from one of several sources, since the pairs of a step have one scale and one size.

    Attributes:
        parts: (share of the steps, source); shares are relative.
    """

    parts: tuple[tuple[float, PairSource], ...]

    @property
    def description(self) -> str:
        """Of all parts with their shares."""
        return described_parts([(share, part.description) for share, part in self.parts], "steps")

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        """Pairs of the source that seed and step choose, as it alone would draw them."""
        shares = np.array([share for share, _ in self.parts])
        chosen = np.random.default_rng([seed, step, _CHOICE]).choice(len(shares), p=shares / shares.sum())
        return self.parts[int(chosen)][1].draw(batch, seed, step, device)


def described_parts(parts: list[tuple[float, str]], of_what: str) -> str:
    """``70 % of the steps from A; 30 % of the steps from B``."""
    total = sum(share for share, _ in parts)
    return "; ".join(f"{100 * share / total:.3g} % of the {of_what} from {text}" for share, text in parts)
