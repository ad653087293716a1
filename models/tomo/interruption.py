"""How a long computation tells how far it is, and is stopped."""

from collections.abc import Callable

Progress = Callable[[float], None]
"""Told the fraction done, 0 to 1."""
Cancelled = Callable[[], bool]
"""Asked between batches; True stops the computation."""


class ReconstructionCancelledError(Exception):
    """The caller's ``cancelled`` said so; nothing was returned."""


def keep_quiet(_fraction: float) -> None:
    """The progress of those who do not listen."""


def never_cancelled() -> bool:
    """The answer of those who never stop."""
    return False


def step_done(fraction: float, progress: Progress, cancelled: Cancelled) -> None:
    """Tell the progress and stop if asked to.

    Raises:
        ReconstructionCancelledError: ``cancelled`` returned True.
    """
    progress(fraction)
    if cancelled():
        raise ReconstructionCancelledError(f"stopped at {fraction:.0%}, as asked")
