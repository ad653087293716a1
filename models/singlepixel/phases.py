"""How much of each known phase there is, and where, from element maps."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


def phases_of(
    elements: tuple[str, ...], maps: NDArray[np.float32], phases: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, float], dict[str, NDArray[np.float32]]]:
    """Non-negative amounts of phases whose composition is known, pixel by pixel.

    Args:
        elements: of the maps.
        maps: (E, y, x).
        phases: amount of each element by phase, in the units of the maps; what is not named is none.

    Returns:
        Share of the whole field by phase, which add up to one; (y, x) amount by phase.

    Raises:
        ValueError: a phase holds none of these elements, or they cannot be told apart.
    """
    composition = np.array([[phases[name].get(element, 0.0) for name in phases] for element in elements])
    empty = [name for name, column in zip(phases, composition.T, strict=True) if not column.any()]
    if empty:
        raise ValueError(f"phase {empty[0]} holds none of {', '.join(elements)}: it cannot be seen")
    if np.linalg.matrix_rank(composition) < len(phases):
        raise ValueError(
            f"{len(phases)} phases of {', '.join(elements)} cannot be told apart: measure more elements, or give fewer "
            "phases"
        )
    pixels = maps.reshape(len(elements), -1).T.astype(np.float64)
    amounts = np.array([nnls(composition, pixel)[0] for pixel in pixels]).T.reshape(len(phases), *maps.shape[1:])
    whole = max(float(amounts.sum()), np.finfo(np.float64).tiny)
    shares = {name: float(one.sum()) / whole for name, one in zip(phases, amounts, strict=True)}
    return shares, dict(zip(phases, amounts.astype(np.float32), strict=True))
