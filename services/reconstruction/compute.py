"""What a job is cut into, and who does the parts: one after another here, or the workers of a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from models.tomo.interruption import Cancelled, Progress, ReconstructionCancelledError
from services.reconstruction.shelf import Shelf

Told = Callable[[float, str], None]
"""Told a fraction, and what is being done."""
Done = TypeVar("Done")
DoneOf = TypeVar("DoneOf", covariant=True)

IN_PROCESS = "in-process"
"""The setting ``compute`` that asks for no cluster."""


class Task(Protocol[DoneOf]):
    """A part of a job that can be done anywhere, and again, with the same outcome: all it needs is on the shelf."""

    @property
    def doing(self) -> str:
        """For people: what is done to which element."""

    def run(self, shelf: Shelf, progress: Progress, cancelled: Cancelled) -> DoneOf:
        """Do it; what comes back is small.

        Raises:
            ReconstructionCancelledError: ``cancelled`` said so.
        """


class Compute(Protocol):
    """Does tasks."""

    def run(self, tasks: Sequence[Task[Done]], take: Callable[[int, Done], None], told: Told) -> None:
        """Do them all.

        Args:
            tasks: independent of each other.
            take: is handed the index of each task and what came of it, in any order, from one thread.
            told: the fraction done.

        Raises:
            ReconstructionCancelledError: the job is to stop.
        """


@dataclass(frozen=True, eq=False)
class InProcess:
    """One task after another in this thread.

    Attributes:
        shelf: of the tasks.
        cancelled: asked often; True stops.
    """

    shelf: Shelf
    cancelled: Cancelled

    def run(self, tasks: Sequence[Task[Done]], take: Callable[[int, Done], None], told: Told) -> None:
        """See `Compute`."""
        for index, task in enumerate(tasks):
            if self.cancelled():
                raise ReconstructionCancelledError(f"stopped while {task.doing}, as asked")
            take(index, task.run(self.shelf, _part_of(told, index, len(tasks), task.doing), self.cancelled))


def _part_of(told: Told, index: int, count: int, doing: str) -> Progress:
    def tell(fraction: float) -> None:
        told((index + fraction) / count, doing)

    return tell
