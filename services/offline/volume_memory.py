"""What the reconstruction of a file takes, known before it starts."""

from collections.abc import Mapping
from typing import Any

from models.tomo.algorithms import ALGORITHMS
from models.tomo.engines import choose_engine
from models.tomo.geometry import Array
from models.tomo.likelihood import LikelihoodSettings, Regularisation
from models.tomo.system import Geometry

_STACKS = 3
"""A stack while it is read: as the file has it, as numbers of ours, and the mask of what is measured."""
_STACKS_ALIGNED = 14
"""Measured: the stack, moved, mirrored, and their complex spectra; two volumes come on top."""
_STACKS_FILTERED = 7
"""Measured: padded by half the width, filtered, and taken apart by slices; two volumes come on top."""
_FLOAT_BYTES = 4


def needed_bytes(
    algorithm: str, parameters: Mapping[str, Any], shape: tuple[int, int, int], angles_deg: Array, aligned: bool
) -> int:
    """Memory at the height of it, for one element: they come one after the other.

    Args:
        algorithm: by name.
        parameters: of the algorithm.
        shape: (angle, y, x) of the projections.
        angles_deg: (angle,).
        aligned: projections are shifted first.

    Raises:
        ValueError: the engine asked for cannot run here.
    """
    n_angles, n_y, n_x = shape
    stack, volume = (_FLOAT_BYTES * n * n_y * n_x for n in (n_angles, n_x))
    before = stack * _STACKS_ALIGNED + 2 * volume if aligned else stack * _STACKS
    if not ALGORITHMS[algorithm].capabilities.iterative:
        return max(stack * _STACKS_FILTERED + 2 * volume, before)
    settings = LikelihoodSettings(
        algorithm,  # type: ignore[arg-type]  # the iterative algorithms are the methods
        parameters["n_iterations"],
        parameters.get("n_subsets") or 1,
        Regularisation(1.0, 1.0) if "beta" in parameters else None,
        tolerance=parameters["tolerance"],
    )
    geometry = Geometry(angles_deg, n_x / 2, n_x, (n_x, n_x))
    engine = choose_engine(parameters["engine"]).engine.memory_bytes(geometry, n_y, settings)
    # The result in the data's unit, and again in that of a density.
    return max(engine + 2 * volume + 2 * stack, before)
