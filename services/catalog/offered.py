"""Runs that wait to be processed, as one worker sees them: threads that find them offer them here, a thread takes them.

Nothing here asks the catalogue; `ProjectionFeed` does, and tells what it found.
"""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Set
from itertools import islice

from services.catalog.runs import FinishedRun

MOST_OFFERED = 1000
"""Of live runs and of the backlog each: memory stays small; the others are found when these are done."""
_AMONG = 8
"""Of the oldest of a backlog one is picked by chance where other workers pick too, so that they rarely meet."""


class OfferedRuns:
    """Hands out runs, live ones before the backlog, each in the order it was offered. Threads may share it.

    A run handed out is not handed out again until `release` gives it back; after `settle` it comes again only where
    the catalogue takes back that it is done or parked.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._live: OrderedDict[str, FinishedRun] = OrderedDict()
        self._backlog: OrderedDict[str, FinishedRun] = OrderedDict()
        self._undone: dict[str, FinishedRun] = {}
        self._taken: set[str] = set()
        self._settled: set[str] = set()
        self._parked: set[str] = set()
        self._released: set[str] = set()
        self._is_closed = False

    def close(self) -> None:
        """Hand out nothing any more; whoever waits in `next` gets None."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def n_waiting(self) -> int:
        """Runs offered and not yet handed out."""
        with self._changed:
            return len(self._live) + len(self._backlog)

    @property
    def queued(self) -> dict[str, int]:
        """The same, live ones and the backlog."""
        with self._changed:
            return {"live": len(self._live), "backlog": len(self._backlog)}

    @property
    def oldest_stop_time(self) -> float | None:
        """When the oldest run ended that nobody has dealt with, as far as is known here; those at hand count."""
        with self._changed:
            return min((run.stop_time for run in self._undone.values()), default=None)

    def next(self, timeout_s: float, among_others: bool = False) -> FinishedRun | None:
        """The next run, or None where none came in time or nothing is handed out any more.

        Args:
            timeout_s: to wait at most.
            among_others: whether other workers take from the same backlog.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (self._live or self._backlog) and not self._is_closed:
                if not self._changed.wait(deadline - time.monotonic()):
                    return None
            return self._taken_from(self._live) or self._taken_from(self._backlog, among_others)

    def next_live(self) -> FinishedRun | None:
        """The next run that has just finished, if there is one now."""
        with self._changed:
            return self._taken_from(self._live)

    def next_of_backlog(self, among_others: bool = False) -> FinishedRun | None:
        """The next run of the backlog, if there is one now and nothing live."""
        with self._changed:
            return None if self._live else self._taken_from(self._backlog, among_others)

    def settle(self, run_uid: str) -> None:
        """This run is dealt with, and the catalogue says so."""
        with self._changed:
            self._taken.discard(run_uid)
            self._undone.pop(run_uid, None)
            self._settled.add(run_uid)

    def park(self, run_uid: str) -> None:
        """This run is parked in the catalogue: it comes again as soon as somebody takes it out there."""
        with self._changed:
            self._parked.add(run_uid)
            self.settle(run_uid)

    def release(self, run_uid: str) -> None:
        """This run could not be dealt with now: a later sweep offers it again."""
        with self._changed:
            self._taken.discard(run_uid)
            self._released.add(run_uid)

    def is_offered(self, run_uid: str) -> bool:
        """Whether it waits here or is at hand."""
        with self._changed:
            return run_uid in self._taken or run_uid in self._live or run_uid in self._backlog

    def is_settled(self, run_uid: str) -> bool:
        """Whether it is known to be dealt with."""
        with self._changed:
            return run_uid in self._settled

    def offer_live(self, run: FinishedRun) -> None:
        """A run has just finished; it leaves the backlog where it was in it."""
        self._offer(run, live=True)

    def begin_sweep(self) -> None:
        """The catalogue is going to be listed: what is released from now on may be older in that list than it is."""
        with self._changed:
            self._released.clear()

    def retry_unparked(self, parked: Set[str]) -> bool:
        """Compare with what is parked in the catalogue; True where a run was taken out there, which may come again."""
        with self._changed:
            retried = self._parked - parked
            self._settled -= retried
            self._parked = (self._parked - retried) | parked
            return bool(retried)

    def end_sweep(self, listed: Iterable[FinishedRun], whole: bool) -> None:
        """Offer the backlog that a sweep listed, and forget what it would have listed and did not.

        That is dealt with elsewhere, or deleted.

        Args:
            listed: in the order in which they are handed out.
            whole: whether every run was looked at; otherwise only ptychography and structured runs all were.
        """
        uids = set()
        with self._changed:
            for run in listed:
                uids.add(run.run_uid)
                if run.run_uid not in self._released:  # else what the sweep knows of it may be old
                    self._offer(run, live=False)
            self._undone = {
                run_uid: run
                for run_uid, run in self._undone.items()
                if run_uid in uids or self.is_offered(run_uid) or not (whole or run.takes_long)
            }

    def _offer(self, run: FinishedRun, live: bool) -> None:
        with self._changed:
            if run.run_uid in self._taken or run.run_uid in self._live or (run.run_uid in self._backlog and not live):
                return
            self._backlog.pop(run.run_uid, None)
            queue = self._live if live else self._backlog
            if len(queue) >= MOST_OFFERED:
                return
            queue[run.run_uid] = self._undone[run.run_uid] = run
            self._changed.notify()

    def _taken_from(self, queue: OrderedDict[str, FinishedRun], among_others: bool = False) -> FinishedRun | None:
        if self._is_closed or not queue:
            return None
        first = list(islice(queue, _AMONG if among_others else 1))
        run_uid = random.choice(first)
        self._taken.add(run_uid)
        return queue.pop(run_uid)
