"""A ptychography run becomes a probe, and the series that it was taken for waits for it."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_ptychography import registered, simulate

from models.physics.photon import wavelength_nm
from models.physics.probe import gaussian_probe
from models.run_schema import Y_UM, PtychographyStart
from models.scan import FlyScan
from services.catalog.backlog import Backlog
from services.catalog.parking import parked_runs
from services.catalog.probes import import_probe, list_probes, read_probe
from services.catalog.products import find_series, read_lineage
from services.catalog.runs import FinishedRun
from services.inference.probe_recovery import recover_probe_of

_SIDE, _N, _STEP_PX = 10, 32, 3.0


@pytest.fixture(scope="module")
def simulated():
    return simulate(side=_SIDE, n=_N, step_px=_STEP_PX, fly_px=_STEP_PX, defocus_rad=2.5, seed=3)


@pytest.fixture
def scan_start(projection_start, simulated):
    """Of the run that measured these frames, for the series of `projection_start`."""
    pixel_nm, distance_m = simulated.frames.pixel_size_nm, 0.5
    return PtychographyStart(
        sample_name="a star",
        theta_deg=0.0,
        energy_kev=10.0,
        optics="zone plate",
        scan=FlyScan((_SIDE, _SIDE), step_nm=_STEP_PX * pixel_nm, dwell_s=0.01),
        frame_shape=(_N, _N),
        detector_distance_m=distance_m,
        detector_pixel_um=wavelength_nm(10.0) * distance_m * 1e6 / (_N * pixel_nm),
        flux_hz=1e7,
        series_uid=projection_start.series_uid,
    )


@pytest.fixture
def start(projection_start):
    """Of a series of one element and one angle with that zone plate."""
    return replace(projection_start, elements=("Zn",), n_angles=1, angles_deg=(-60.0,), optics="zone plate")


def test_a_series_waits_for_the_probe_of_its_own_run_though_another_fits(
    catalog, run_writer, start, scan_start, simulated, start_worker
):
    import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "fits-too")
    scan_uid = run_writer.write_frames(scan_start, simulated.frames, exit_status=None)
    run_writer.write(start)
    with start_worker() as worker:
        worker.until(lambda: "taken for this series" in worker.status_file.status.waiting_for)
        assert scan_uid in find_series(catalog, start.series_uid).metadata["waiting"]
    catalog.raw.delete_contents(scan_uid, recursive=True, external_only=False)

    scan_uid = run_writer.write_frames(scan_start, simulated.frames)
    with start_worker() as worker:
        worker.until_done(1)
        assert worker.status_file.status.n_probes == 1
    record = next(probe for probe in list_probes(catalog) if probe.run_uid == scan_uid)
    assert record.key == f"6-zone-plate-{scan_uid[:8]}"
    assert record.warnings == ()
    kernel = read_probe(catalog, record.key).intensity().astype(np.float64)
    assert registered(kernel, simulated.intensity)[0] > 0.998
    assert read_lineage(catalog, start.series_uid, 0)["probe"]["key"] == record.key
    assert not list(Backlog(catalog).waiting_probe_scans())


def test_a_run_that_gives_no_probe_is_rejected_and_its_series_goes_on_with_another(
    catalog, run_writer, start, scan_start, simulated, start_worker
):
    import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "fits-too")
    scan_uid = run_writer.write_frames(scan_start, simulated.frames, leave_out=(Y_UM,))
    run_writer.write(start)
    with start_worker() as worker:
        worker.until_done(1)
    assert "has no y_um" in parked_runs(catalog)[scan_uid].reason
    assert read_lineage(catalog, start.series_uid, 0)["probe"]["key"] == "fits-too"


def test_an_aborted_ptychography_run_is_waited_for_by_nobody(
    catalog, run_writer, start, scan_start, simulated, start_worker
):
    import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "fits-too")
    run_writer.write_frames(scan_start, simulated.frames, exit_status="abort")
    run_writer.write(start)
    with start_worker() as worker:
        worker.until_done(1)
    assert len(list_probes(catalog)) == 1


def test_finding_it_again_changes_nothing_and_a_stop_breaks_it_off(catalog, run_writer, scan_start, simulated):
    uid = run_writer.write_frames(scan_start, simulated.frames)
    run = FinishedRun.from_metadata(uid, catalog.raw[uid].metadata)

    def stopped(_stage, _fraction):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        recover_probe_of(catalog, run, "cpu", stopped)
    assert list_probes(catalog) == []
    first, again = (recover_probe_of(catalog, run, "cpu", lambda _stage, _fraction: None) for _ in range(2))
    assert first == again
    assert len(list_probes(catalog)) == 1
