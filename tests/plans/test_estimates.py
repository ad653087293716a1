"""What a scan costs, foretold and then measured."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine

from models.scan import FlyScan
from plans.devices.beamline import Beamline, make_beamline
from plans.estimates import dose_gy, estimate_ptychography, estimate_tomo
from plans.ptychography import ptychography_scan
from plans.tomography import coarse_flyscan_tomo

Twin = Callable[..., Beamline]
NIGHT: dict[str, Any] = {"angles_deg": [2.0 * index for index in range(90)], "fov_um": [4.2, 4.2], "step_nm": 120}


def test_a_series_of_a_night_is_told_in_words(make_twin: Twin) -> None:
    estimate = estimate_tomo(make_twin(time_scale=1.0), **NIGHT)
    assert str(estimate) == "90 angles, 110250 points: 1 h 07 min, 0.9 GB, 1.2e+09 Gy"


def test_duration_is_dwell_turnarounds_turns_and_overhead(make_twin: Twin) -> None:
    beamline = make_twin(time_scale=1.0)
    estimate = estimate_tomo(beamline, **NIGHT)
    timing = beamline.timing
    rows_s = 90 * 35 * (35 * 0.03 + timing.turnaround_s)
    turns_s = 89 * (2.0 / timing.rotation_speed_deg_s + timing.settle_s)
    assert estimate.duration_s == pytest.approx(rows_s + turns_s + 90 * timing.run_overhead_s)


def test_an_interleaved_series_takes_longer_and_a_rest_of_it_less(make_twin: Twin) -> None:
    beamline = make_twin(time_scale=1.0)
    whole = estimate_tomo(beamline, **NIGHT).duration_s
    assert estimate_tomo(beamline, **NIGHT, order="interleaved").duration_s > whole
    assert estimate_tomo(beamline, **NIGHT, angle_indices=range(45)).duration_s < 0.55 * whole


def test_a_fine_scan_beside_each_coarse_one_adds_its_points_and_dose(beamline: Beamline) -> None:
    coarse, paired = estimate_tomo(beamline, **NIGHT), estimate_tomo(beamline, **NIGHT, fine_step_nm=60)
    assert paired.n_points == 5 * coarse.n_points
    assert paired.dose_gy == pytest.approx(5 * coarse.dose_gy)
    assert (paired.n_angles, paired.n_runs) == (90, 180)


def test_dose_is_fluence_times_energy_times_absorption() -> None:
    scan = FlyScan((10, 10), step_nm=100.0, dwell_s=0.1)
    photons_per_cm2 = 1e8 * 0.1 / 1e-10
    kev_in_joule, absorption_cm2_g = 1.602e-16, 81.8  # of MnO2 at 10 keV
    assert dose_gy(1e8, 10.0, scan) == pytest.approx(
        photons_per_cm2 * 10 * kev_in_joule * absorption_cm2_g * 1e3, rel=0.01
    )


def test_bytes_foretold_are_the_bytes_of_the_arrays(
    RE: RunEngine, runs: list[Any], make_twin: Twin, scan: dict[str, Any]
) -> None:
    beamline = make_twin(n_detectors=3, n_channels=4096)
    RE(coarse_flyscan_tomo(beamline, **scan, angles_deg=[0.0], diffraction=True))
    recorded = sum(runs[0].array(resource["data_key"]).nbytes for resource in runs[0].named("stream_resource"))
    assert runs[0].start["estimate"]["n_bytes"] == recorded
    on_disk = sum(path.stat().st_size for path in Path(beamline.folder).iterdir())
    assert on_disk == pytest.approx(recorded, rel=0.05)


def test_the_twin_takes_the_time_it_foretells(RE: RunEngine, make_twin: Twin, scan: dict[str, Any]) -> None:
    beamline = make_twin(time_scale=0.2)
    beamtime_s = beamline.timing.rotation_s(5.0) + 4 * (7 * 0.03 + beamline.timing.turnaround_s)
    started = time.monotonic()
    RE(coarse_flyscan_tomo(beamline, **scan, angles_deg=[5.0]))
    took_s = time.monotonic() - started
    assert 0.2 * beamtime_s <= took_s < 0.2 * beamtime_s + 5.0


def test_a_ptychography_scan_tells_frames_photons_overlap_time_and_bytes(tmp_path: Path) -> None:
    estimate = estimate_ptychography(make_beamline(tmp_path))
    assert str(estimate) == "400 frames of 1.0e+05 photons, 78% overlap: 13 s, 6.6 MB, 1.5e+06 Gy"


def test_the_start_document_of_a_ptychography_scan_foretells_its_bytes(
    RE: RunEngine, runs: list[Any], make_imager: Twin, overlapping_scan: dict[str, Any]
) -> None:
    beamline = make_imager()
    RE(ptychography_scan(beamline, **overlapping_scan))
    recorded = sum(runs[0].array(resource["data_key"]).nbytes for resource in runs[0].named("stream_resource"))
    estimate = runs[0].start["estimate"]
    assert estimate["n_bytes"] == recorded
    assert estimate["n_points"] == 35
    assert estimate["duration_s"] == 1.0, "a twin as fast as it computes has the overhead of a run only"


def test_a_probe_scan_adds_its_run_its_time_and_its_bytes_to_a_series_but_no_dose(make_imager: Twin) -> None:
    beamline = make_imager(time_scale=1.0)
    alone, probe = estimate_tomo(beamline, **NIGHT), estimate_ptychography(beamline)
    both = estimate_tomo(beamline, **NIGHT, probe_scan=True)
    assert (both.n_runs, both.n_points) == (91, alone.n_points + 400)
    assert both.duration_s == pytest.approx(alone.duration_s + probe.duration_s)
    assert both.n_bytes == alone.n_bytes + probe.n_bytes
    assert both.dose_gy == alone.dose_gy
