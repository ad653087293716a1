"""Who works on what: of several workers that ask at once one is granted it, and one that dies loses it.

What is worked on has a record, a container that Tiled creates once. Every later turn at it, because its worker died or
because it is to be done again, is a container in the record, which Tiled creates once as well; they stay there to tell
what happened. Who holds a record lets its heart beat in the container of its turn, and not in the record: Tiled reads,
merges and writes metadata, and of two writers at once one is forgotten. A heart that stood still for a lease, while
whoever looks could reach Tiled, belongs to a dead worker: no clock of another machine is asked.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from services.catalog.client import AccessTags, catalog_errors, create_container, merge_metadata
from services.catalog.records import CatalogError, WornOutError

log = logging.getLogger(__name__)

MOST_TURNS = 12
"""What was begun so often and never ended probably kills the workers that begin it."""
_FIRST_TURN = 0
_BEATS_A_LEASE = 4


class Standing(Enum):
    """What a record says to somebody who asks for it."""

    SETTLED = "settled"
    """Nothing is to be done."""
    FREE = "free"
    """To be taken by whoever comes first."""
    HELD = "held"
    """Somebody works on it, if alive."""


class Refusal(Enum):
    """Why a record was not granted."""

    SETTLED = "settled"
    """It is done, or something later took its place: never do it."""
    ELSEWHERE = "elsewhere"
    """Another worker is at it: look again later."""


@dataclass(frozen=True, eq=False)
class Hold:
    """A record granted to us: work on it, and let go of it with `Claims.let_go`."""

    parent: Any
    key: str
    turn: int

    def record(self) -> Any:
        """As it stands in the catalogue now."""
        return self.parent[self.key]


class Claims:
    """The claims of one worker; its held ones are kept alive by a thread until they are let go or `close` is called.

    Args:
        worker: name, unique among those that run: what stands in this name is taken again at once, after a restart.
        lease_s: a worker whose heart stood still for so long is dead.
    """

    def __init__(self, worker: str, lease_s: float = 30.0) -> None:
        self.worker = worker
        self._lease_s = lease_s
        self._seen: dict[str, tuple[tuple[Any, ...], float]] = {}
        self._held: set[Hold] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(
        self,
        parent: Any,
        key: str,
        about: Mapping[str, Any],
        standing: Callable[[Mapping[str, Any]], Standing],
        access_tags: AccessTags | None = None,
    ) -> Hold | Refusal:
        """Ask for a record, which is made where there is none.

        Args:
            parent: Tiled container of the record.
            key: of the record.
            about: goes into its metadata beside what makes it a claim.
            standing: what an existing record's metadata say.
            access_tags: of a new record; None: those of its parent.

        Raises:
            WornOutError: it was begun too often and never ended.
        """
        claim = {
            **about,
            "state": "writing",
            "worker": self.worker,
            "turn": _FIRST_TURN,
            "claimed_at": time.time(),
        }
        if create_container(parent, key, claim, access_tags=access_tags) is not None:
            return self._hold(parent, key, _FIRST_TURN)
        record = parent[key]
        beats = {int(taken): node.metadata.get("beats", 0) for taken, node in record.items() if taken.isdigit()}
        turn = max(beats, default=_FIRST_TURN)
        metadata = parent[key].metadata  # after the turns: who takes the next one between is noticed
        says = standing(metadata)
        if says is Standing.SETTLED:
            return Refusal.SETTLED
        # Somebody who has taken a turn and not yet said so holds it too.
        is_held = says is Standing.HELD or metadata["turn"] != turn
        mine = metadata["worker"] == self.worker and metadata["turn"] == turn
        place = str(record.uri)
        if is_held and not mine and not self._is_dead(place, turn, metadata["turn"], beats.get(turn)):
            return Refusal.ELSEWHERE
        self._seen.pop(place, None)
        if turn >= MOST_TURNS and metadata["state"] == "writing":
            raise WornOutError(
                f"{key} was begun {turn + 1} times and never ended, last by {metadata['worker']}: its workers died or "
                "lost Tiled each time; see their logs, then `subprobe retry`"
            )
        before = {"worker": self.worker, "at": time.time(), "found": metadata["state"], "of": metadata["worker"]}
        if create_container(record, str(turn + 1), before) is None:
            return Refusal.ELSEWHERE
        merge_metadata(record, claim | {"turn": turn + 1})
        if is_held and not mine:
            log.warning("%s: taken over from worker %s, which gives no sign of life", key, metadata["worker"])
        return self._hold(parent, key, turn + 1)

    def let_go(self, hold: Hold) -> None:
        """Our work on it has ended, well or not."""
        with self._lock:
            self._held.discard(hold)

    def give_back(self, hold: Hold) -> None:
        """We did not begin it: whoever asks next may have it at once."""
        self.let_go(hold)
        with catalog_errors(f"giving back {hold.key}"):
            record = hold.record()
            if self._is_of(hold, record):
                merge_metadata(record, {"state": "released"})

    def keeps(self, hold: Hold) -> bool:
        """Whether it was not taken over by another worker, which believed us dead."""
        return self._is_of(hold, hold.record())

    def forget_others(self) -> None:
        """Tiled was away, so no heart could beat: whoever is dead shows it anew."""
        self._seen.clear()

    def close(self) -> None:
        """End the heart; what is still held is taken over after a lease."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _hold(self, parent: Any, key: str, turn: int) -> Hold:
        hold = Hold(parent, key, turn)
        with self._lock:
            self._held.add(hold)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name=f"heart-{self.worker}", daemon=True)
                self._thread.start()
        return hold

    def _is_of(self, hold: Hold, record: Any) -> bool:
        return bool(record.metadata["worker"] == self.worker and record.metadata["turn"] == hold.turn)

    def _is_dead(self, place: str, *state: Any) -> bool:
        """Whether a record was seen in the same state a lease ago."""
        now = time.monotonic()
        seen, since = self._seen.get(place, (state, now))
        self._seen[place] = (state, since if seen == state else now)
        return seen == state and now - since >= self._lease_s

    def _beat(self) -> None:
        beats = 0
        while not self._closing.wait(self._lease_s / _BEATS_A_LEASE):
            beats += 1
            with self._lock:
                held = list(self._held)
            for hold in held:
                try:
                    with catalog_errors(f"showing that {self.worker} works on {hold.key}"):
                        record = hold.record()
                        # The first turn has a container from its first beat on: few works take so long.
                        if create_container(record, str(hold.turn), {"worker": self.worker, "beats": beats}) is None:
                            merge_metadata(record[str(hold.turn)], {"beats": beats})
                except (CatalogError, KeyError) as error:
                    log.warning("%s", error)
