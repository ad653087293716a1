from dataclasses import replace

import numpy as np
import pytest

from models.physics.probe import gaussian_probe
from services.catalog.backlog import Backlog
from services.catalog.client import Catalog
from services.catalog.parking import park_run, retry_runs
from services.catalog.probes import Measurement, import_probe
from services.catalog.records import NotFoundError
from services.catalog.subscription import ProjectionFeed
from services.identity.api_key import ApiKey

_LONG_S = 20.0
_SHORT_S = 0.5


@pytest.fixture
def offered(catalog: Catalog):
    """What a feed finds that listens and sweeps all the time."""
    with ProjectionFeed(catalog, sweep_s=0.2) as running:
        yield running


def test_what_finished_before_comes_oldest_first_and_once(catalog, run_writer, projection_start, everything):
    first = run_writer.write(projection_start, time=1.0, leave_out=everything)
    second = run_writer.write(projection_start, time=2.0, leave_out=everything)

    with ProjectionFeed(catalog, sweep_s=0.1) as offered:
        assert [offered.next(_LONG_S).run_uid, offered.next(_LONG_S).run_uid] == [first, second]
        assert offered.next(_SHORT_S) is None


def test_a_live_projection_comes_before_the_backlog(catalog, run_writer, projection_start, everything):
    backlog = [run_writer.write(projection_start, time=float(i), leave_out=everything) for i in range(3)]
    with ProjectionFeed(catalog, sweep_s=3600.0) as offered:
        assert offered.next(_LONG_S).run_uid == backlog[0]
        live = run_writer.write(projection_start, time=9.0, leave_out=everything)
        while offered.n_waiting < 3:
            pass
        assert offered.next(_LONG_S).run_uid == live


def test_what_the_stream_missed_is_found_by_the_sweep(catalog, run_writer, projection_start, monkeypatch, everything):
    monkeypatch.setattr(ProjectionFeed, "_take_in", lambda *_: None)
    with ProjectionFeed(catalog, sweep_s=0.2) as offered:
        missed = run_writer.write(projection_start, leave_out=everything)
        assert offered.next(_LONG_S).run_uid == missed


def test_a_released_projection_comes_again_and_a_settled_one_does_not(
    offered, run_writer, projection_start, everything
):
    uid = run_writer.write(projection_start, leave_out=everything)
    assert offered.next(_LONG_S).run_uid == uid
    assert offered.next(_SHORT_S) is None
    offered.release(uid)
    assert offered.next(_LONG_S).run_uid == uid
    offered.settle(uid)
    assert offered.next(_SHORT_S) is None


def test_a_parked_run_comes_again_as_soon_as_somebody_has_it_retried(
    catalog, offered, run_writer, projection_start, everything
):
    uid = run_writer.write(projection_start, leave_out=everything)
    assert offered.next(_LONG_S).run_uid == uid
    park_run(catalog, uid, "no good")
    offered.park(uid)
    assert offered.next(_SHORT_S) is None
    assert retry_runs(catalog, [uid[:7]]) == [uid]
    assert offered.next(_LONG_S).run_uid == uid
    with pytest.raises(NotFoundError, match="names none"):
        retry_runs(catalog, [uid[:7]])


def test_only_whole_projections_that_are_not_parked_come(catalog, offered, run_writer, projection_start, everything):
    parked = run_writer.write(projection_start, leave_out=everything, exit_status=None)
    park_run(catalog, parked, "no good")
    run_writer.write(projection_start, leave_out=everything, exit_status="abort")
    run_writer.write(projection_start, leave_out=everything, change_start={"tiled_specs": ["Alignment"]})
    good = run_writer.write(replace(projection_start, angle_index=1), leave_out=everything)

    assert offered.next(_LONG_S).run_uid == good
    assert offered.next(_SHORT_S) is None


def test_ptychography_runs_are_offered_until_their_probe_is_there_and_come_before_the_backlog(
    catalog, run_writer, projection_start, ptychography_metadata, everything
):
    projection = run_writer.write(projection_start, leave_out=everything)
    before = run_writer.write(projection_start, leave_out=everything, change_start=ptychography_metadata)
    assert [run.run_uid for run in Backlog(catalog).waiting()] == [projection]
    with ProjectionFeed(catalog, sweep_s=0.2) as offered:
        taken = [offered.next(_LONG_S) for _ in range(2)]
        assert [(run.run_uid, run.is_probe_scan) for run in taken] == [(before, True), (projection, False)]
        live = run_writer.write(projection_start, leave_out=everything, change_start=ptychography_metadata)
        assert offered.next(_LONG_S).run_uid == live
        found = Measurement(before, 1.0, "zone plate", (), np.zeros((4, 4), np.float32))
        import_probe(catalog, gaussian_probe(fwhm_nm=60.0), "found", measurement=found)
        park_run(catalog, live, "no good")
        offered.release(before)
        offered.release(live)
        assert offered.next(_SHORT_S) is None


def test_a_wrong_key_does_not_end_the_feed_and_closing_is_prompt(catalog):
    with ProjectionFeed(replace(catalog, key=ApiKey("wrong")), sweep_s=0.1) as offered:
        assert offered.next(_SHORT_S) is None
