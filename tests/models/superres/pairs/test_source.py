"""A source of pairs is a function of seed and step, also when it is a mixture."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.superres.pairs.probes import PAPERS_OPTICS
from models.superres.pairs.simulate import Conditions, draw_pairs
from models.superres.pairs.source import MixedPairs, SimulatedPairs

CONDITIONS = Conditions(scales=((2, 1.0),), coarse_px=8, fixed_optics=PAPERS_OPTICS)


@dataclass(frozen=True)
class Noise:
    """Fine maps of noise around a level."""

    level: float

    @property
    def description(self) -> str:
        return f"noise around {self.level}"

    def patch(self, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
        return np.float32(self.level) + rng.random((side, side), dtype=np.float32) / 10


BRIGHT, DARK = (SimulatedPairs(Noise(level), CONDITIONS) for level in (0.8, 0.1))


def test_simulated_pairs_are_those_of_draw_pairs() -> None:
    ours, theirs = BRIGHT.draw(2, seed=3, step=5), draw_pairs(Noise(0.8), CONDITIONS, 2, seed=3, step=5)
    assert torch.equal(ours.measured.readings, theirs.measured.readings)
    assert torch.equal(ours.fine, theirs.fine)


def test_a_mixture_takes_its_parts_by_their_shares_and_leaves_their_pairs_alone() -> None:
    mixed = MixedPairs(((1.0, BRIGHT), (3.0, DARK)))
    of_dark = 0
    for step in range(24):
        fine = mixed.draw(1, 7, step).fine
        alone = [part.draw(1, 7, step).fine for part in (BRIGHT, DARK)]
        assert sum(torch.equal(fine, one) for one in alone) == 1
        of_dark += torch.equal(fine, alone[1])
    assert of_dark / 24 == pytest.approx(0.75, abs=0.2)


def test_a_mixture_says_what_is_in_it() -> None:
    said = MixedPairs(((1.0, BRIGHT), (3.0, DARK))).description
    assert said == "25 % of the steps from noise around 0.8; 75 % of the steps from noise around 0.1"
