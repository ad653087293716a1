"""What every method of reconstruction is given, and what it hands back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.phases import Stoichiometry
from models.singlepixel.priors import Prior
from models.singlepixel.system import PatternSystem, system_of
from models.singlepixel.txm_shift import PlacedTxm, placed

Told = Callable[[str, float], None]
"""Told what is being done, and the fraction of it that is, 0 to 1."""


def keep_quiet(_stage: str, _fraction: float) -> None:
    """The progress of those who do not listen."""


@dataclass(eq=False)
class Task:
    """One reconstruction: what is common to its steps is worked out once, when it is first asked for.

    Attributes:
        measurement: as `models.singlepixel.measurement.checked` leaves it.
        seed: of held-out measurements, networks and resampling.
        told: of progress.
        lam: the penalty's weight; None: chosen by held-out measurements.
        phases: stoichiometry, for methods that know phases.
        shape: (y, x) pixels of the maps of a network; None: those of the patterns.
        uncertainty: whether sigma is wanted.
        device: of torch.
    """

    measurement: PatternMeasurement
    seed: int = 0
    told: Told = keep_quiet
    lam: float | None = None
    phases: Stoichiometry | None = None
    shape: tuple[int, int] | None = None
    uncertainty: bool = True
    device: str = "cpu"
    _system: PatternSystem | None = field(default=None, repr=False)
    _placed: PlacedTxm | None = field(default=None, repr=False)

    @property
    def system(self) -> PatternSystem:
        """The measurement in the units that reconstructions work in."""
        if self._system is None:
            self.told("patterns", 0.0)
            self._system = system_of(self.measurement, self.device)
            self.told("patterns", 1.0)
        return self._system

    @property
    def txm(self) -> PlacedTxm:
        """The TXM image where it belongs.

        Raises:
            ValueError: there is none, or it is constant.
        """
        if self._placed is None:
            if self.measurement.txm is None:
                raise ValueError("there is no TXM image: pass txm, or a method that needs none: tv, ridge or pinv")
            self._placed = placed(self.system, self.measurement.txm)
        return self._placed

    def rng(self, purpose: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, purpose])


@dataclass(frozen=True, eq=False)
class Estimate:
    """Maps of one method, in the units of `models.singlepixel.system`.

    Attributes:
        images: (element, y, x).
        method: that made them.
        lam: the penalty's weight in those units; None where there is none.
        notes: what the reader of the maps should know.
        quality: figures by name.
        prior: that a pixel method used, for its uncertainty.
        sigma: (element, y, x) in the unit of ``images``, where the method tells it itself.
        phase_maps: (phase, y, x) where the method made the maps from phases.
    """

    images: Tensor
    method: str
    lam: float | None = None
    notes: tuple[str, ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)
    prior: Prior | None = None
    sigma: NDArray[np.float64] | None = None
    phase_maps: NDArray[np.float64] | None = None
