"""A worker killed at random moments leaves the same products, bit for bit, as one that nobody disturbed."""

import numpy as np
import pytest

from services.beamline.session import open_session
from services.catalog.probes import import_probe
from services.catalog.products import find_series, read_consistency, read_lineage, read_sigma, read_stack

_N_ANGLES = 4
_N_KILLS = 3


@pytest.fixture
def series_uid(tiled):
    """A series that is measured and not processed."""
    session = open_session(tiled.settings(), call_returns_result=True)
    import_probe(session.catalog, session.beamline.probe, "twin")
    angles_deg = list(np.arange(_N_ANGLES) * 180.0 / _N_ANGLES)
    plan = session.plans["coarse_flyscan_tomo"]
    result = session.RE(plan(sample="killed", angles_deg=angles_deg, fov_um=[0.96, 1.2], step_nm=120.0))
    session.catalog.close()
    return result.plan_result.series_uid


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_killed_worker_loses_nothing_and_changes_nothing(tiled, series_uid, worker_process, wait_until_done):
    rng = np.random.default_rng(20240125)
    with tiled.connect() as catalog:
        for _ in range(_N_KILLS):
            with worker_process(tiled.settings()) as process:
                process.join(rng.uniform(0.5, 4.0))
                assert process.is_alive(), "the worker ended by itself"
                process.kill()
        with worker_process(tiled.settings()):
            wait_until_done(catalog, series_uid, _N_ANGLES)
        killed = _products(catalog, series_uid)

        catalog.processed.delete_contents(recursive=True, external_only=False)
        with worker_process(tiled.settings()):
            wait_until_done(catalog, series_uid, _N_ANGLES)
        undisturbed = _products(catalog, series_uid)

    assert killed.keys() == undisturbed.keys()
    for name, values in undisturbed.items():
        assert np.isfinite(values).all(), name
        np.testing.assert_array_equal(killed[name], values, err_msg=name)


def _products(catalog, series_uid):
    series = find_series(catalog, series_uid)
    arrays = {}
    for element in series.elements:
        for source in ("fitted", "enhanced"):
            arrays[source, element] = read_stack(catalog, series.key, source, element)
            arrays[f"{source}_sigma", element] = read_sigma(catalog, series.key, source, element)
        arrays["consistency", element] = read_consistency(catalog, series.key, element)
    identities = [read_lineage(catalog, series.key, index)["identity"] for index in range(_N_ANGLES)]
    return arrays | {"identities": np.array([int(identity, 16) for identity in identities], dtype=np.uint64)}
