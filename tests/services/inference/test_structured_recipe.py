"""Frames and spectra become patterns and counts that obey y = A x, each pattern where it was under its spectrum."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from structured_runs import MeasuredStructure, measured_structure

from models.physics.absorption import optical_depth
from models.run_schema import I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA
from models.structured_schema import TXM_FRAMES
from services.catalog.records import MalformedRunError
from services.catalog.structured_runs import RawStructured
from services.inference.structured_recipe import known_phases, measurement, recorded_patterns


def raw(measured: MeasuredStructure) -> RawStructured:
    """What reading the run gives."""
    streams = measured.streams
    return RawStructured(
        measured.start,
        {name: arrays[TXM_FRAMES] for name, arrays in streams.items()},
        {name: arrays[I0].copy() for name, arrays in streams.items()},
        *(streams["xrf"][key] for key in (SPECTRA, LIVE_TIME_S, REAL_TIME_S)),
    )


def silent(_stage: str, _fraction: float) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> MeasuredStructure:
    """60 patterns of 32 x 32 pixels whose diffusers come back half a pixel beside where they were."""
    folder = tmp_path_factory.mktemp("raw")
    return measured_structure(folder, n_patterns=60, shape=(32, 32), jitter_nm=35.0, n_images=32)


@pytest.fixture(scope="module")
def recorded(measured: MeasuredStructure) -> Any:
    return recorded_patterns(raw(measured), silent)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_registration_finds_how_far_the_patterns_moved(measured, recorded):
    """The diffusers move independently, and one shift is told for both: that of the finer one, which has the edges."""
    fine = measured.moved_px[:, 0]
    assert rms(fine) > 0.4
    assert rms(recorded.shifts_px - fine) < 0.25


@pytest.mark.parametrize("jitter_nm", [0.0, 60.0])
def test_patterns_are_those_of_the_spectra_whatever_the_diffusers_did(tmp_path, jitter_nm):
    """As good as a frame's noise, and better where the two frames of each pattern agree."""
    moved = measured_structure(tmp_path, n_patterns=20, shape=(32, 32), jitter_nm=jitter_nm)
    found = recorded_patterns(raw(moved), silent)
    error = rms(found.patterns - moved.true_patterns)
    assert error < (1.15 if jitter_nm else 0.85) * found.relative_noise
    if jitter_nm:
        light = moved.streams["patterns"][TXM_FRAMES] - moved.streams["dark"][TXM_FRAMES].mean(axis=0)
        before = light / (moved.streams["flat"][TXM_FRAMES] - moved.streams["dark"][TXM_FRAMES].mean(axis=0)).mean()
        assert error < 0.1 * rms(before - moved.true_patterns)


def test_the_noise_of_a_frame_is_that_of_its_photons(measured, recorded):
    start = measured.start
    photons = start.photons_per_pattern * start.camera_s / start.dwell_s / 32**2 * 0.5
    assert recorded.relative_noise == pytest.approx(1 / np.sqrt(photons), rel=0.1)


def test_of_a_field_too_small_to_register_the_patterns_are_found_all_the_same(tmp_path):
    small = measured_structure(tmp_path, n_patterns=10, shape=(8, 8), jitter_nm=60.0, n_images=1)
    found = recorded_patterns(raw(small), silent)
    assert np.isnan(found.shifts_px).all()
    assert rms(found.patterns - small.true_patterns) < 2.0 * found.relative_noise


def test_the_image_is_the_specimens_optical_depth(measured, recorded):
    oxygen = 1.02  # of the oxides, which the three metals leave out
    expected = optical_depth(measured.true_maps, measured.start.elements, 9.0) * oxygen
    assert np.corrcoef(recorded.txm.ravel(), expected.ravel())[0, 1] > 0.99
    assert rms(recorded.txm - expected) < 0.02 * expected.max() + 0.003


def test_counts_are_patterns_times_the_specimen(measured, recorded):
    found = measurement(raw(measured), recorded)
    expected = np.einsum("nyx,eyx->en", measured.true_patterns, measured.true_maps)
    for element, y in zip(measured.start.elements, expected, strict=True):
        assert found.counts[element].mean() == pytest.approx(y.mean(), rel=0.02)
        pull = (found.counts[element] - y) / np.sqrt(found.variances[element])
        assert rms(pull - pull.mean()) < 3.0
        assert np.corrcoef(found.counts[element], y)[0, 1] > 0.95


def test_a_pattern_whose_monitor_failed_is_left_out_and_said(measured):
    broken = raw(measured)
    broken.i0["patterns"][3], broken.i0["xrf"][7] = 0.0, np.nan
    found = measurement(broken, recorded_patterns(broken, silent))
    assert len(found.patterns) == len(found.counts["Co"]) == 58
    assert "2 of 60 measurements left out" in found.notes[0]


def test_a_run_without_light_is_malformed(measured):
    dark = raw(measured)
    dark.i0["flat"][:] = 0.0
    with pytest.raises(MalformedRunError, match="the monitor counted nothing in the flat field"):
        recorded_patterns(dark, silent)


def test_known_phases_are_mass_shares_of_their_formulas(measured):
    assert known_phases(measured.start) is None
    known = known_phases(replace(measured.start, phases=("LiCoO2", "LiNiO2")))
    assert known == {
        "LiCoO2": {"Mn": 0.0, "Co": pytest.approx(0.602, abs=1e-3), "Ni": 0.0},
        "LiNiO2": {"Mn": 0.0, "Co": 0.0, "Ni": pytest.approx(0.601, abs=1e-3)},
    }
    for wrong, named in (("cheese!", "is no formula"), ("SiO2", "holds none of Mn, Co, Ni")):
        with pytest.raises(MalformedRunError, match=named):
            known_phases(replace(measured.start, phases=(wrong,)))
