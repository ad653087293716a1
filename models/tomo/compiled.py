"""How this room's inner loops become machine code."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import numba
import torch

Loop = TypeVar("Loop", bound=Callable[..., Any])

_PIECES_PER_THREAD = 4
"""So that a thread which was held up does not leave the others waiting for long."""


def compiled(loop: Loop) -> Loop:
    """Compile a loop on its first call and keep it on disk, so that the next process starts at once.

    Loops are parallel by threads of our own rather than numba's: two jobs may run side by side, which ends the process
    under numba's default threading layer. Of fast arithmetic only fused multiply-add is allowed: a slice has then the
    same bytes however many others are computed with it. Division follows IEEE; Python's check for zero would keep a
    loop from using vector instructions.
    """
    compile_it = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    return cast(Loop, compile_it(loop))


def threads() -> AbstractContextManager[Executor | None]:
    """A pool as wide as torch's, or None for a single thread: one setting holds for all engines."""
    n_threads = torch.get_num_threads()
    return ThreadPoolExecutor(n_threads) if n_threads > 1 else nullcontext()


def over_rows(pool: Executor | None, n_rows: int, loop: Callable[[int, int], Any]) -> list[Any]:
    """``loop(first, last)`` over pieces of the rows, in order of the pieces."""
    if pool is None:
        return [loop(0, n_rows)]
    n_pieces = min(n_rows, _PIECES_PER_THREAD * torch.get_num_threads())
    bounds = [n_rows * piece // n_pieces for piece in range(n_pieces + 1)]
    return list(pool.map(loop, bounds[:-1], bounds[1:]))
