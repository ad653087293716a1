import time

from services.inference.stopwatch import Stopwatch


def test_steps_have_their_seconds_and_what_passed_before_resume_belongs_to_none():
    watch = Stopwatch()
    time.sleep(0.02)
    watch.lap("read")
    time.sleep(0.2)
    watch.resume()
    watch.lap("fit")
    assert list(watch.seconds) == ["read", "fit"]
    assert watch.seconds["read"] >= 0.02
    assert watch.seconds["fit"] < 0.2


def test_it_reads_as_steps_with_seconds():
    assert str(Stopwatch({"read": 0.1234, "fit": 2.0})) == "read 0.12 s, fit 2.00 s"
