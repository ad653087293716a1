"""What the network's outputs mean: maps, or how the absorption of each pixel is shared among classes."""

from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from models.singlepixel.siren_prior import denoised, gradient_mismatch, shares

Head = Literal["maps", "simplex", "phases"]
Shape = tuple[int, int]

_SHARPNESS = 4.0  # of softplus and softmax: outputs are small where the network starts


class Reading(Protocol):
    """From outputs (output, y x) to element maps, in units of the network.

    Attributes:
        n_outputs: of the network.
    """

    n_outputs: int

    def activated(self, outputs: Tensor) -> Tensor:
        """(output, y x) that are bound as what they stand for is."""

    def maps(self, activated: Tensor, shape: Shape) -> Tensor:
        """(E, y x)."""

    def phase_maps(self, activated: Tensor, shape: Shape) -> Tensor | None:
        """(P, y x) in units of the signals; None where outputs are no phases."""

    def penalty(self, activated: Tensor) -> Tensor:
        """What lambda weighs, on the pixels of the patterns."""


class ElementMaps:
    """The paper's: an output is an element's map, not negative, its gradient like the image's scaled to the element.

    Args:
        target: (E, y, x) scaled image in the network's units.
        device: of torch.
    """

    def __init__(self, target: NDArray[np.float64], device: str) -> None:
        self.n_outputs = len(target)
        self._target = torch.tensor(target, dtype=torch.float32, device=device)

    def activated(self, outputs: Tensor) -> Tensor:
        """A smooth step off zero."""
        return torch.nn.functional.softplus(_SHARPNESS * outputs) / _SHARPNESS

    def maps(self, activated: Tensor, _shape: Shape) -> Tensor:
        """Themselves."""
        return activated

    def phase_maps(self, _activated: Tensor, _shape: Shape) -> None:
        """There are none."""
        return None

    def penalty(self, activated: Tensor) -> Tensor:
        """||grad f - s grad I||_1 per pixel."""
        return gradient_mismatch(activated.reshape(self._target.shape), self._target)


class SharedAbsorption:
    """Classes share the absorption of each pixel; one of them, the last, is inert: it holds no element measured.

    Args:
        absorption: (y, x) transmission image.
        classes: (C, E) amount of each element in a unit of each class.
        mu: (E,) absorption of a unit of each element.
        unit: (E,) a unit of the network's maps.
        has_phases: whether classes are phases.
        device: of torch.
    """

    def __init__(
        self,
        absorption: NDArray[np.floating],
        classes: NDArray[np.float64],
        mu: NDArray[np.float64],
        unit: NDArray[np.float64],
        has_phases: bool,
        device: str,
    ) -> None:
        per_absorption = 1 / (classes @ mu)
        amounts = per_absorption[:, None] * classes / unit
        self.n_outputs = len(classes) + 1
        self._seen = np.maximum(denoised(absorption), 0)
        self._shape: Shape = (absorption.shape[0], absorption.shape[1])
        self._amounts = torch.tensor(amounts.T, dtype=torch.float32, device=device)
        self._per_absorption = torch.tensor(per_absorption[:, None], dtype=torch.float32, device=device)
        self._has_phases = has_phases
        self._native = self._drawn(self._shape)

    def activated(self, outputs: Tensor) -> Tensor:
        """Shares of the absorption, which sum to one."""
        return torch.softmax(_SHARPNESS * outputs, 0)

    def maps(self, activated: Tensor, shape: Shape) -> Tensor:
        """Elements in what the classes absorb."""
        return self._absorption(shape) * (self._amounts @ activated[:-1])

    def phase_maps(self, activated: Tensor, shape: Shape) -> Tensor | None:
        """Units of each phase."""
        return self._absorption(shape) * self._per_absorption * activated[:-1] if self._has_phases else None

    def penalty(self, activated: Tensor) -> Tensor:
        """Total variation of the shares: a grain is of one composition, however thick it is."""
        stacked = activated.reshape(-1, *self._shape)
        return gradient_mismatch(stacked, stacked.new_zeros(1))

    def _absorption(self, shape: Shape) -> Tensor:
        return self._native if shape == self._shape else self._drawn(shape)

    def _drawn(self, shape: Shape) -> Tensor:
        """(1, y x) on other pixels of the same field, bilinear."""
        at = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, self._shape, strict=True)]
        drawn = map_coordinates(self._seen, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
        return torch.tensor(drawn.reshape(1, -1), dtype=torch.float32, device=self._amounts.device)


def make_reading(
    head: Head,
    patterns: NDArray[np.floating],
    signals: NDArray[np.float64],
    unit: NDArray[np.float64],
    txm: NDArray[np.floating] | None,
    phases: NDArray[np.floating] | None,
    mu: NDArray[np.floating] | None,
    device: str,
) -> Reading:
    """Of the head that is asked for; arguments as of `models.singlepixel.siren.fit_siren`.

    Raises:
        ValueError: the head needs what was not given, or what was given has another shape or a wrong sign.
    """
    shape, n_elements = patterns.shape[1:], signals.shape[1]
    if txm is not None and txm.shape != shape:
        raise ValueError(
            f"the transmission image has shape {txm.shape}, a pattern {shape}: pass one of the same pixels"
        )
    if txm is not None and not np.isfinite(txm).all():
        raise ValueError("the transmission image holds values that are no numbers: mend those pixels, or pass none")
    if head == "maps":
        target = np.zeros((n_elements, *shape))
        if txm is not None:
            image = denoised(txm)
            target = shares(patterns, signals / unit, image)[:, None, None] * image
        return ElementMaps(target, device)
    if txm is None or mu is None:
        raise ValueError(f"the head {head!r} shares the absorption among classes: pass txm and mu, or take 'maps'")
    weights = np.asarray(mu, np.float64)
    if weights.shape != (n_elements,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"mu is {weights}: pass {n_elements} positive numbers, the absorption of a unit of each element"
        )
    if head == "simplex":
        return SharedAbsorption(txm, np.eye(n_elements), weights, unit, False, device)
    return SharedAbsorption(txm, _checked_phases(phases, n_elements), weights, unit, True, device)


def _checked_phases(phases: NDArray[np.floating] | None, n_elements: int) -> NDArray[np.float64]:
    if phases is None:
        raise ValueError("the head 'phases' needs phases: pass the amount of each element in a unit of each, (P, E)")
    amounts = np.asarray(phases, np.float64)
    if amounts.ndim != 2 or amounts.shape[1] != n_elements:
        raise ValueError(f"phases have shape {amounts.shape} for {n_elements} elements: (P, E) is needed")
    if not np.isfinite(amounts).all() or amounts.min() < 0 or not (amounts.sum(1) > 0).all():
        raise ValueError("a phase holds a negative amount, or none of the elements measured: leave inert ones out")
    return amounts
