"""Pairs of a series, or a word about what it lacks; specimens that register are in tests/pipeline/test_finetune.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from running_worker import running_worker

from models.physics.probe import gaussian_probe
from models.run_schema import ProjectionStart
from models.scan import FlyScan
from services.catalog.client import Catalog
from services.catalog.fine_scans import angles_scanned_twice
from services.catalog.probes import import_probe
from services.catalog.records import NotFoundError
from services.offline.hdf5 import InputFileError
from services.settings import WorkerSettings
from services.training.series_pairs import PairsError, collect_pairs, read_about

ProcessRuns = Callable[[int], None]


@pytest.fixture
def start(projection_start: ProjectionStart) -> ProjectionStart:
    return replace(projection_start, elements=("Zn",), scan=FlyScan((9, 8), step_nm=120.0, dwell_s=0.01))


@pytest.fixture
def process_runs(catalog: Catalog, tmp_path: Path) -> ProcessRuns:
    """Does a worker's work on so many runs."""

    def process(n_runs: int) -> None:
        import_probe(catalog, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "test-probe")
        settings = WorkerSettings(name="worker-1", enhancer="bicubic", scale=4, sweep_s=2.0)
        with running_worker(catalog, tmp_path, settings) as worker:
            worker.until_done(n_runs)
        assert worker.status_file.status.n_done == n_runs

    return process


def _fine(start: ProjectionStart, step_nm: float) -> ProjectionStart:
    ratio = round(120.0 / step_nm)
    return replace(start, purpose="fine", scan=FlyScan((9 * ratio, 8 * ratio), step_nm=step_nm, dwell_s=0.01))


def _collect(catalog: Catalog, path: Path, series: str, *elements: str) -> Any:
    return collect_pairs(catalog, series, path, elements, (2, 3, 4))


def test_a_series_without_fine_scans_says_how_to_take_some(
    catalog: Catalog, run_writer: Any, start: ProjectionStart, process_runs: ProcessRuns, tmp_path: Path
) -> None:
    run_writer.write(start)
    process_runs(1)
    with pytest.raises(PairsError, match=r"no fine scans .*fine_step_nm=30\), at 3 angles or more"):
        _collect(catalog, tmp_path / "pairs.h5", start.series_uid)
    with pytest.raises(PairsError, match="has no Mn: choose among Zn"):
        _collect(catalog, tmp_path / "pairs.h5", start.series_uid, "Mn")
    with pytest.raises(NotFoundError, match="no series 'other'"):
        _collect(catalog, tmp_path / "pairs.h5", "other")
    assert not (tmp_path / "pairs.h5").exists()


def test_angles_that_were_scanned_twice_are_found_and_noise_makes_no_pair(
    catalog: Catalog, run_writer: Any, start: ProjectionStart, process_runs: ProcessRuns, tmp_path: Path
) -> None:
    """Spectra of `run_writer` are noise: nothing tells how the two scans lie."""
    for index, theta_deg in enumerate(start.angles_deg):
        one = replace(start, angle_index=index, theta_deg=theta_deg)
        run_writer.write(one, seed=index)
        if index != 1:
            run_writer.write(_fine(one, 60.0), seed=10 + index)
    process_runs(5)
    found = angles_scanned_twice(catalog, start.series_uid)
    assert [(angle.angle_index, angle.theta_deg, angle.probe) for angle in found] == [
        (0, -60.0, "test-probe"),
        (2, 60.0, "test-probe"),
    ]
    assert found[0].coarse.scan == start.scan
    assert found[0].fine.scan.step_nm == 60.0
    with pytest.raises(
        PairsError,
        match=r"0 different views .* scan more angles with fine_step_nm \(left out: -60 deg: (the maps tell|they fit)",
    ):
        _collect(catalog, tmp_path / "pairs.h5", start.series_uid)


def test_a_fine_step_that_fits_no_scale_names_those_that_do(
    catalog: Catalog, run_writer: Any, start: ProjectionStart, process_runs: ProcessRuns, tmp_path: Path
) -> None:
    run_writer.write(start)
    run_writer.write(replace(_fine(start, 60.0), scan=FlyScan((12, 12), step_nm=80.0, dwell_s=0.01)))
    process_runs(2)
    with pytest.raises(PairsError, match=r"fine step is 80 nm .*scan with 60, 40, 30 nm"):
        _collect(catalog, tmp_path / "pairs.h5", start.series_uid)


def test_a_file_that_others_wrote_is_not_gone_on_with(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file.create_group("pairs")
    with pytest.raises(InputFileError, match="says nothing of a series"):
        read_about(tmp_path / "pairs.h5")
