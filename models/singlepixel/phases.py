"""From element maps to phases of known stoichiometry: how much of each there is, and where."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from models.singlepixel.measurement import Array

Stoichiometry = Mapping[str, Mapping[str, float]]
"""By phase: the amount of each of its elements."""


def stoichiometry_of(phases: Stoichiometry, elements: tuple[str, ...]) -> Array:
    """(phase, element) amounts.

    Raises:
        ValueError: a phase has none of the elements, an amount is negative, or phases cannot be told apart by them.
    """
    amounts = np.array([[float(phase.get(element, 0.0)) for element in elements] for phase in phases.values()])
    for name, row in zip(phases, amounts, strict=True):
        if not row.sum() > 0 or (row < 0).any():
            raise ValueError(f"phase {name} is {dict(phases[name])}: give it positive amounts of {', '.join(elements)}")
    if np.linalg.matrix_rank(amounts) < len(amounts):
        raise ValueError(
            f"{len(amounts)} phases cannot be told apart by {', '.join(elements)}: leave some out, or measure more "
            "elements"
        )
    return amounts


def phase_amounts(maps: Mapping[str, NDArray[np.floating]], phases: Stoichiometry) -> dict[str, NDArray[np.float32]]:
    """(y, x) amount of each phase, not negative, that explains the element maps of a pixel best.

    Args:
        maps: (y, x) by element.
        phases: by phase, the amount of each element in the unit of the maps.

    Raises:
        ValueError: see `stoichiometry_of`.

    Source: Lawson and Hanson, Solving Least Squares Problems (1995), chapter 23.
    """
    elements = tuple(maps)
    amounts = stoichiometry_of(phases, elements).T
    stack = np.stack([np.asarray(maps[element], np.float64) for element in elements])
    pixels = stack.reshape(len(elements), -1).T
    found = np.zeros((len(pixels), amounts.shape[1]))
    scale = max(float(np.abs(pixels).max()), 1e-300)
    for i in np.flatnonzero((pixels > 0).any(axis=1)):
        found[i], _ = nnls(amounts, pixels[i] / scale)
    shape = stack.shape[1:]
    return {name: (scale * found[:, i]).reshape(shape).astype(np.float32) for i, name in enumerate(phases)}


def phase_fractions(maps: Mapping[str, NDArray[np.floating]], phases: Stoichiometry) -> dict[str, float]:
    """Each phase's share of the total of all; 0 where there is nothing.

    From the sums of the maps: the sum of the amounts of single pixels has too much of what is rare, for what noise adds
    to them is never negative.

    Args:
        maps: (y, x) by element.
        phases: as for `phase_amounts`.

    Raises:
        ValueError: see `stoichiometry_of`.
    """
    elements = tuple(maps)
    sums = np.array([np.sum(maps[element], dtype=np.float64) for element in elements])
    found, _ = nnls(stoichiometry_of(phases, elements).T, sums / max(float(np.abs(sums).max()), 1e-300))
    whole = float(found.sum())
    return {name: float(share) / whole if whole > 0 else 0.0 for name, share in zip(phases, found, strict=True)}


def phase_classes(phase_maps: Mapping[str, NDArray[np.floating]], least: float = 0.05) -> NDArray[np.int64]:
    """(y, x) number of the phase that most of each pixel is, -1 where all is below a share of the largest amount.

    Args:
        phase_maps: (y, x) by phase.
        least: of the largest total.
    """
    stack = np.stack(list(phase_maps.values()))
    total = stack.sum(axis=0)
    classes: NDArray[np.int64] = np.where(total > least * max(float(total.max()), 1e-300), stack.argmax(axis=0), -1)
    return classes
