import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.run_schema import PROBE_PURPOSE
from services.catalog import offered as offered_module
from services.catalog.offered import OfferedRuns
from services.catalog.runs import FinishedRun

_LONG_S = 20.0
_ASLEEP_S = 0.2
"""After it a thread that waits has begun to."""


@pytest.fixture
def offered() -> OfferedRuns:
    """Nothing yet."""
    return OfferedRuns()


def run_of(run_uid: str, stop_time: float = 1.0, purpose: str = "coarse") -> FinishedRun:
    """A run that ended well."""
    return FinishedRun(run_uid, stop_time - 1.0, stop_time, "success", {"purpose": purpose})


def sweep(offered: OfferedRuns, *listed: FinishedRun, whole: bool = True, parked: frozenset[str] = frozenset()) -> bool:
    """What a feed tells in one look at the catalogue; whether a parked run was taken out."""
    offered.begin_sweep()
    retried = offered.retry_unparked(parked)
    offered.end_sweep(listed, whole)
    return retried


def taken(offered: OfferedRuns, among_others: bool = False) -> list[str]:
    """Everything that is handed out now."""
    uids = []
    while (run := offered.next(0.0, among_others)) is not None:
        uids.append(run.run_uid)
    return uids


def test_live_runs_come_before_the_backlog_each_in_the_order_it_was_offered(offered):
    sweep(offered, run_of("a"), run_of("b"))
    offered.offer_live(run_of("c"))
    offered.offer_live(run_of("d"))

    assert (offered.n_waiting, offered.queued) == (4, {"live": 2, "backlog": 2})
    assert offered.next_of_backlog() is None
    assert taken(offered) == ["c", "d", "a", "b"]
    assert (offered.n_waiting, offered.queued) == (0, {"live": 0, "backlog": 0})


def test_only_what_was_asked_for_is_handed_out(offered):
    sweep(offered, run_of("a"))
    assert offered.next_live() is None
    assert offered.next_of_backlog().run_uid == "a"
    offered.offer_live(run_of("b"))
    assert offered.next_live().run_uid == "b"


def test_a_run_of_the_backlog_that_turns_out_live_moves_ahead_and_is_there_once(offered):
    sweep(offered, run_of("a"), run_of("b"))
    offered.offer_live(run_of("b"))
    assert taken(offered) == ["b", "a"]


def test_what_is_at_hand_is_not_offered_again_by_stream_or_sweep(offered):
    sweep(offered, run_of("a"))
    assert taken(offered) == ["a"]
    offered.offer_live(run_of("a"))
    sweep(offered, run_of("a"))
    assert offered.is_offered("a")
    assert taken(offered) == []


def test_what_was_released_comes_with_a_sweep_that_began_afterwards(offered):
    sweep(offered, run_of("a"))
    taken(offered)
    offered.begin_sweep()
    offered.release("a")
    offered.end_sweep([run_of("a")], whole=True)
    assert taken(offered) == []
    sweep(offered, run_of("a"))
    assert taken(offered) == ["a"]


def test_a_settled_run_is_known_to_be_and_is_not_offered_or_undone_any_more(offered):
    offered.offer_live(run_of("a"))
    taken(offered)
    assert (offered.is_settled("a"), offered.is_offered("a"), offered.oldest_stop_time) == (False, True, 1.0)
    offered.settle("a")
    assert (offered.is_settled("a"), offered.is_offered("a"), offered.oldest_stop_time) == (True, False, None)


def test_a_parked_run_is_settled_until_it_is_taken_out_in_the_catalogue(offered):
    offered.offer_live(run_of("a"))
    taken(offered)
    offered.park("a")
    assert not sweep(offered, parked=frozenset({"a", "parked by another"}))
    assert offered.is_settled("a")
    assert sweep(offered, parked=frozenset({"a"}))
    assert offered.is_settled("a")
    assert sweep(offered)
    assert not offered.is_settled("a")
    assert not sweep(offered)


def test_a_run_that_was_taken_out_before_a_sweep_saw_it_parked_may_come_again(offered):
    offered.park("a")
    assert sweep(offered)
    assert not offered.is_settled("a")


def test_the_oldest_is_of_those_at_hand_too_and_of_what_a_whole_sweep_still_finds(offered):
    sweep(offered, run_of("a", 1.0), run_of("b", 2.0), run_of("c", 3.0))
    assert offered.next(0.0).run_uid == "a"
    offered.release("a")
    assert offered.next(0.0).run_uid == "b"

    sweep(offered, whole=False)  # it may have ended before it came to a
    assert offered.oldest_stop_time == 1.0
    sweep(offered, whole=True)
    assert offered.oldest_stop_time == 2.0


def test_a_ptychography_run_that_no_sweep_finds_is_dealt_with(offered):
    sweep(offered, run_of("a", purpose=PROBE_PURPOSE))
    taken(offered)
    offered.release("a")
    sweep(offered, whole=False)
    assert offered.oldest_stop_time is None


def test_among_others_one_of_the_oldest_is_picked_and_each_once(offered):
    uids = [f"{i:02}" for i in range(40)]
    sweep(offered, *map(run_of, uids))
    picked = taken(offered, among_others=True)
    assert sorted(picked) == uids
    assert all(int(uid) < position + 8 for position, uid in enumerate(picked))


def test_each_queue_keeps_so_many_and_the_others_come_with_a_later_sweep(offered, monkeypatch):
    monkeypatch.setattr(offered_module, "MOST_OFFERED", 2)
    runs = [run_of(uid) for uid in "abc"]
    sweep(offered, *runs)
    for uid in "def":
        offered.offer_live(run_of(uid))
    assert taken(offered) == ["d", "e", "a", "b"]
    sweep(offered, *runs)
    assert taken(offered) == ["c"]


def test_whoever_waits_is_woken_by_an_offer_and_by_the_end(offered):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(offered.next, _LONG_S)
        time.sleep(_ASLEEP_S)
        offered.offer_live(run_of("a"))
        assert waiting.result(_LONG_S / 2).run_uid == "a"
        waiting = pool.submit(offered.next, _LONG_S)
        time.sleep(_ASLEEP_S)
        offered.close()
        assert waiting.result(_LONG_S / 2) is None


def test_nothing_is_handed_out_after_the_end(offered):
    sweep(offered, run_of("a"))
    offered.close()
    assert (offered.next(_LONG_S), offered.next_live(), offered.next_of_backlog()) == (None, None, None)


def test_of_threads_that_offer_take_and_park_at_once_no_two_have_the_same_run_and_none_is_lost(offered):
    uids = [f"{i:04}" for i in range(800)]
    at_hand = {uid: threading.Lock() for uid in uids}
    done = threading.Event()
    deadline = time.monotonic() + _LONG_S

    def sweep_until_all_are_parked() -> None:
        waiting = uids
        while waiting and time.monotonic() < deadline:
            sweep(offered, *map(run_of, waiting), parked=frozenset(uids))
            waiting = [uid for uid in uids if not offered.is_settled(uid)]
        done.set()

    def take_and_park() -> None:
        while not done.is_set():
            run = offered.next(0.01)
            if run is not None:
                assert at_hand[run.run_uid].acquire(blocking=False)
                time.sleep(1e-4)
                at_hand[run.run_uid].release()
                offered.park(run.run_uid)

    with ThreadPoolExecutor(4) as pool:
        for ended in [pool.submit(sweep_until_all_are_parked), *(pool.submit(take_and_park) for _ in range(3))]:
            ended.result()
    assert [uid for uid in uids if not offered.is_settled(uid)] == []
