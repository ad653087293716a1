"""Preallocated stacks of maps, NaN everywhere at first, made by exactly one of several workers."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tiled.structures.array import ArrayStructure, BuiltinDtype

from services.catalog.client import create_container, create_empty_array, merge_metadata, unless_taken
from services.catalog.records import MalformedRunError

UNITS = "ug/cm^2"

Stacks = Mapping[tuple[str, str], Any]
"""Tiled's array client by (source, element)."""

_READY = "ready"
_FILL_BYTES = 16 * 2**20  # of one request: Tiled's stream cache keeps whole payloads for an hour
_OTHER_WORKER_S = 15.0
_POLL_S = 0.5


def ensure_stacks(
    parent: Any,
    source: str,
    elements: tuple[str, ...],
    shape: tuple[int, int, int],
    owner: str,
    existing: Any | None = None,
) -> Stacks:
    """One stack per element under ``source``.

    Whoever creates the container fills its stacks with NaN and then calls it ready. Another worker waits for that, and
    takes over where it does not come: the first one died. The same owner, restarted, goes on at once.

    Args:
        parent: container of the series.
        source: name of the stacks' container.
        elements: names of the stacks.
        shape: (angle, y, x).
        owner: name of this worker, unique among those that run.
        existing: the stacks' container, where the caller has it already.

    Raises:
        MalformedRunError: the stacks exist and hold maps of another shape.
    """
    if existing is None:
        claim = {"layout": "filling", "owner": owner, "units": UNITS, "stack_shape": list(shape)}
        existing = create_container(parent, source, claim)
    group = _settled(parent, source, owner, existing)
    if group.metadata["stack_shape"] != list(shape):
        raise MalformedRunError(
            f"{source} maps are {group.metadata['stack_shape'][1:]} in this series, not {shape[1:]}"
        )
    if group.metadata["layout"] == _READY:
        return {(source, element): stack for element, stack in group.items()}
    stacks = {(source, element): _ensure_nan_stack(group, element, shape) for element in elements}
    merge_metadata(group, {"layout": _READY})
    return stacks


def _settled(parent: Any, source: str, owner: str, group: Any | None) -> Any:
    """The container once it is ready, or once it is ours to make ready."""
    deadline = time.monotonic() + _OTHER_WORKER_S
    group = parent[source] if group is None else group
    while group.metadata["layout"] != _READY and group.metadata["owner"] != owner and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        group = parent[source]
    return group


def _ensure_nan_stack(group: Any, element: str, shape: tuple[int, int, int]) -> Any:
    n_angles, ny, nx = shape
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(np.dtype(np.float32)),
        shape=shape,
        chunks=((1,) * n_angles, (ny,), (nx,)),
        dims=("angle", "y", "x"),
    )
    stack = None
    with unless_taken():
        stack = create_empty_array(group, element, structure)
    stack = group[element] if stack is None else stack
    _fill_with_nan(stack, shape)
    return stack


def _fill_with_nan(stack: Any, shape: tuple[int, int, int]) -> None:
    n_angles, ny, nx = shape
    at_once = max(1, _FILL_BYTES // (4 * ny * nx))
    if at_once >= n_angles:
        stack.write(np.full(shape, np.nan, dtype=np.float32))
        return
    for first in range(0, n_angles, at_once):
        count = min(at_once, n_angles - first)
        stack.patch(np.full((count, ny, nx), np.nan, dtype=np.float32), offset=(first, 0, 0))
