"""Tiled goes away in the middle of a series and comes back: nothing is lost.

A short absence the writer sits out; the documents of a run that meets a longer one go to a file, to be restored.
"""

import threading

import numpy as np
import pytest

from services.beamline.session import open_session
from services.catalog.backup import restore_backups
from services.catalog.probes import import_probe
from services.catalog.products import find_series

_N_ANGLES = 4
_SERIES = "5e71e5aa-0000-4000-8000-00000000000f"


@pytest.mark.timeout(240)
def test_a_restart_of_tiled_in_the_middle_of_a_series_loses_nothing(tiled, worker_process, wait_until_done):
    session = open_session(tiled.settings())
    import_probe(session.catalog, session.beamline.probe, "twin")
    angles_deg = list(np.arange(_N_ANGLES) * 180.0 / _N_ANGLES)
    one_done = threading.Event()
    session.RE.subscribe(lambda *_: one_done.set(), "stop")

    def restart_after_one_angle():
        one_done.wait()
        tiled.stop()
        tiled.start()

    restarting = threading.Thread(target=restart_after_one_angle)
    restarting.start()
    with worker_process(tiled.settings()) as process:
        plan = session.plans["coarse_flyscan_tomo"]
        session.RE(
            plan(sample="restart", angles_deg=angles_deg, fov_um=[0.96, 0.96], step_nm=120.0, series_uid=_SERIES)
        )
        restarting.join()
        restore_backups(session.catalog, tiled.folder.backup)
        wait_until_done(session.catalog, _SERIES, _N_ANGLES)
        assert process.is_alive()

    assert find_series(session.catalog, _SERIES).state == "complete"
    session.catalog.close()
