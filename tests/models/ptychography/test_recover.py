"""A probe is found without knowing its focus, and what cannot be relied on says so."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_ptychography import Simulated, registered, simulate

from models.ptychography.recover import Recovery, RecoverySettings, divided, recover
from models.ptychography.starts import likely_defoci

FEW = RecoverySettings(batch=6, models=("coherent",))


@pytest.fixture(scope="module")
def out_of_focus() -> Simulated:
    return simulate(side=12, n=32, step_px=3.0, fly_px=3.0, defocus_rad=-2.5, seed=5)


@pytest.fixture(scope="module")
def found(out_of_focus: Simulated) -> Recovery:
    return recover(out_of_focus.frames, replace(FEW, models=("coherent", "source", "modes")))


def test_a_probe_on_the_far_side_of_focus_is_found(found: Recovery, out_of_focus: Simulated) -> None:
    correlation, error = registered(found.probe.intensity().astype(np.float64), out_of_focus.intensity)
    assert correlation > 0.999
    assert error < 0.05
    assert found.model == "coherent"
    assert found.source_fwhm_nm == (0.0, 0.0)
    assert found.reliable, found.warnings
    assert found.deviance == pytest.approx(1.1, abs=0.15)
    assert -6 < min(found.starts, key=found.starts.__getitem__) < -1


def test_it_stands_where_the_true_one_does_without_being_registered(found: Recovery, out_of_focus: Simulated) -> None:
    difference = found.probe.intensity() - out_of_focus.intensity
    assert np.linalg.norm(difference) < 0.06 * np.linalg.norm(out_of_focus.intensity)


def test_halves_differ_about_as_much_as_the_whole_errs(found: Recovery) -> None:
    assert 0.001 < found.halves_difference < 0.1


def test_a_source_is_told_from_a_coherent_beam() -> None:
    blurred = simulate(side=12, n=32, step_px=3.0, fly_px=3.0, defocus_rad=2.5, source_px=(0.0, 1.3), seed=6)
    found = recover(blurred.frames, replace(FEW, models=("coherent", "source")))
    assert found.model == "source"
    assert found.source_fwhm_nm[1] == pytest.approx(1.3 * 2.355 * 10, rel=0.3)
    assert len(found.probe.modes) > 1
    correlation, _ = registered(found.probe.intensity().astype(np.float64), blurred.intensity)
    assert correlation > 0.998


def test_a_haze_that_nobody_told_is_no_source() -> None:
    clear = simulate(side=12, n=32, step_px=3.0, fly_px=3.0, defocus_rad=2.5, photons=3e4, seed=9)
    hazy = np.random.default_rng(9).poisson(0.3, clear.frames.counts.shape).astype(np.float32)
    found = recover(
        replace(clear.frames, counts=clear.frames.counts + hazy), replace(FEW, models=("coherent", "source"))
    )
    assert found.model == "coherent"
    assert 0.05 < found.haze < 0.35  # the object takes a part of it
    correlation, error = registered(found.probe.intensity().astype(np.float64), clear.intensity)
    assert correlation > 0.999
    assert error < 0.03


def test_a_weak_object_is_said() -> None:
    weak = simulate(side=10, n=32, step_px=3.0, fly_px=3.0, phase_rad=0.05, seed=7)
    found = recover(weak.frames, replace(FEW, defoci_rad=(3.0,)))
    assert not found.reliable
    assert "the object is weak" in found.warnings[0]


def test_frames_that_do_not_fit_their_positions_are_said(out_of_focus: Simulated) -> None:
    frames = out_of_focus.frames
    wrong = replace(frames, positions_px=frames.positions_px[:, ::-1] * [1, -1])
    found = recover(wrong, replace(FEW, defoci_rad=(-3.0,)))
    assert any("held-out frames deviate" in warning for warning in found.warnings)


def test_positions_are_refined_where_asked(out_of_focus: Simulated) -> None:
    frames = out_of_focus.frames
    errors = np.random.default_rng(8).normal(0, 0.7, frames.positions_px.shape)
    shaken = replace(frames, positions_px=frames.positions_px + errors)
    fixed, refined = (
        recover(shaken, replace(FEW, defoci_rad=(-3.0,), refine_positions=refine)) for refine in (False, True)
    )
    errors_of = [
        registered(found.probe.intensity().astype(np.float64), out_of_focus.intensity)[1] for found in (fixed, refined)
    ]
    assert errors_of[1] < 0.8 * errors_of[0]
    assert fixed.position_shift_px == 0
    assert refined.position_shift_px == pytest.approx(0.7, abs=0.3)


def test_it_says_how_far_it_is_and_can_be_stopped(out_of_focus: Simulated) -> None:
    said: list[str] = []

    def enough(stage: str, fraction: float) -> None:
        assert 0 < fraction <= 1
        said.append(stage)
        if len(set(said)) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        recover(out_of_focus.frames, FEW, enough)
    assert said[0] == "start +0 rad out of focus"


def test_every_point_is_held_out_or_in_one_half() -> None:
    parts = divided(203, 0)
    assert sorted(np.concatenate(parts)) == list(range(203))
    held_out, first, second = (len(part) for part in parts)
    assert held_out == 21
    assert abs(first - second) <= 1


def test_starts_end_where_the_beam_would_fill_its_window(out_of_focus: Simulated) -> None:
    defoci = likely_defoci(out_of_focus.frames)
    assert defoci[0] == 0
    assert set(defoci) == {-defocus for defocus in defoci}
    assert 3 <= max(defoci) <= np.pi / 2 * 0.5 * 16
