"""What a scan costs, foretold and then measured."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine

from models.scan import FlyScan
from plans.devices.beamline import Beamline
from plans.estimates import dose_gy, estimate_tomo
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
