"""What may go, by the records alone."""

from typing import Any

import pytest

from services.catalog.retention import StoredVolume
from services.catalog.workers import PublishedWorker
from services.retention.plan import UNKNOWN, JobWord, gone_workers, old_volumes, unfinished_volumes

DAY_S = 86400.0
NOW = 1000 * DAY_S


def volume(job_id: str, days_old: float | None = None, series: str = "s", **changes: Any) -> StoredVolume:
    """Complete, so many days old."""
    made_at = None if days_old is None else NOW - days_old * DAY_S
    return StoredVolume(series, job_id, **{"is_complete": True, "begun_at": made_at, "completed_at": made_at} | changes)


def test_old_volumes_go_but_the_newest_of_each_series_stays() -> None:
    volumes = [volume("a", 200), volume("b", 100), volume("c", 95), volume("only", 500, series="other")]
    assert [one.place[2] for one in old_volumes(volumes, {}, 90, NOW)] == ["a", "b"]
    assert [one.place[2] for one in old_volumes([*volumes, volume("d", 1)], {}, 90, NOW)] == ["a", "b", "c"]
    assert [one.place[2] for one in old_volumes([volume("late", 95), volume("early", 200)], {}, 90, NOW)] == ["early"]


def test_a_volume_of_unknown_age_stays_unless_its_job_tells_the_age() -> None:
    volumes = [volume("a"), volume("b", 1)]
    assert old_volumes(volumes, {}, 90, NOW) == []
    ended = JobWord("succeeded", NOW - 100 * DAY_S)
    (gone,) = old_volumes(volumes, {"a": ended}, 90, NOW)
    assert gone.why == "100 days old, and the series has a newer one"


@pytest.mark.parametrize(
    ("job", "days_old", "goes"),
    [
        (JobWord("failed", NOW), 0.1, True),
        (JobWord("cancelled", NOW), 0.1, True),
        (JobWord("running", None), 200, False),
        (JobWord("queued", None), 200, False),
        (UNKNOWN, 89, False),
        (UNKNOWN, 91, True),
        (None, 500, False),
    ],
)
def test_an_unfinished_volume_goes_only_where_nobody_will_finish_it(
    job: JobWord | None, days_old: float, goes: bool
) -> None:
    left = volume("a", days_old, is_complete=False, completed_at=None)
    jobs = {} if job is None else {"a": job}
    assert bool(unfinished_volumes([left], jobs, 90, NOW)) is goes
    assert old_volumes([left], jobs, 90, NOW) == []


def test_workers_that_were_heard_of_stay() -> None:
    workers = [PublishedWorker("old", NOW - 100 * DAY_S, {}), PublishedWorker("here", NOW, {})]
    (gone,) = gone_workers(workers, 90, NOW)
    assert gone.place == ("workers", "old")
