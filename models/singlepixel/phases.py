"""How much of each known phase there is in each pixel, from element maps."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


def composition(elements: tuple[str, ...], phases: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """(E, P) amount of each element in each phase; what a phase does not name it does not hold.

    Raises:
        ValueError: a phase holds none of these elements, or they cannot tell the phases apart.
    """
    table = np.array([[phases[name].get(element, 0.0) for name in phases] for element in elements])
    empty = [name for name, column in zip(phases, table.T, strict=True) if not column.any()]
    if empty:
        raise ValueError(f"phase {empty[0]} holds none of {', '.join(elements)}: it cannot be seen")
    if np.linalg.matrix_rank(table) < len(phases):
        raise ValueError(
            f"{len(phases)} phases of {', '.join(elements)} cannot be told apart: measure more elements, or give fewer "
            "phases"
        )
    return table


def phase_shares(table: NDArray[np.float64], maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """(P,) share of each phase in the whole field, from the sums of maps (E, y, x).

    Sums of the amounts of single pixels would say too much of a phase that is rare: noise there is never negative.
    """
    totals = maps.reshape(len(maps), -1).sum(1, dtype=np.float64)
    amounts, _ = nnls(table, totals)
    return np.asarray(amounts / max(float(amounts.sum()), np.finfo(np.float64).tiny))


def phase_amounts(
    table: NDArray[np.float64], maps: NDArray[np.float32], noise: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(P, y, x) non-negative amounts of phases that come nearest to maps, pixel by pixel.

    Args:
        table: (E, P) amount of each element in each phase.
        maps: (E, y, x).
        noise: (E,) of the maps, up to a factor: an element that is seen badly decides little.
    """
    pixels = (maps.reshape(len(maps), -1) / noise[:, None]).T.astype(np.float64)
    table = table / noise[:, None]
    amounts = np.array([nnls(table, pixel)[0] if pixel.any() else np.zeros(table.shape[1]) for pixel in pixels])
    return np.asarray(amounts.T.reshape(table.shape[1], *maps.shape[1:]), np.float32)
