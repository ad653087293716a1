"""The TXM image: its weights, its agreement with the counts and its place, told without any reconstruction."""

import numpy as np
import pytest
import singlepixel as simulator
import torch
from singlepixel import MU, Conditions, Simulated

from models.singlepixel.absorption import CONSISTENT, robust_absorption
from models.singlepixel.admm import Problems, solve
from models.singlepixel.priors import GuidedVariation
from models.singlepixel.system import system_of
from models.singlepixel.txm_shift import placed


def true_weights(sim: Simulated, units: np.ndarray, mu_error: float) -> np.ndarray:
    return np.array(MU) * (1 + mu_error * np.array([1, -1, 1])) * units / sim.counts_per_unit


def test_weights_of_the_elements_come_out_of_the_counts(scan: Simulated) -> None:
    system = system_of(scan.measurement)
    assert scan.measurement.txm is not None
    found = placed(system, scan.measurement.txm).agreement
    np.testing.assert_allclose(found.weights, true_weights(scan, system.units, 0.1), rtol=0.06)
    assert found.explained > 0.99
    assert found.chi_squared < CONSISTENT
    assert abs(found.background) < 0.01


def test_an_offset_and_a_unit_of_the_image_change_nothing_but_the_weights(scan: Simulated) -> None:
    system, txm = system_of(scan.measurement), scan.measurement.txm
    assert txm is not None
    plain, other = placed(system, txm).agreement, placed(system, 3 * txm + 5).agreement
    np.testing.assert_allclose(other.weights, 3 * plain.weights, rtol=0.02)
    assert other.background == pytest.approx(5 + 3 * plain.background, abs=0.02)
    assert other.explained == pytest.approx(plain.explained, abs=0.01)


@pytest.mark.parametrize("shift_px", [(0.4, -0.3), (3.0, -2.0)])
def test_the_counts_tell_where_the_image_belongs(shift_px: tuple[float, float]) -> None:
    specimen = simulator.cathode(48, seed=70)
    sim = simulator.measure(specimen, Conditions(n_patterns=160, txm_shift_px=shift_px), seed=70)
    assert sim.measurement.txm is not None
    found = placed(system_of(sim.measurement), sim.measurement.txm)
    np.testing.assert_allclose(found.shift_px, -np.array(shift_px), atol=0.15)


def test_an_image_of_noise_is_not_explained(scan: Simulated) -> None:
    noise = np.random.default_rng(0).standard_normal((48, 48)).astype(np.float32)
    assert placed(system_of(scan.measurement), noise).agreement.explained < 0.15


def test_an_absorber_without_any_element_is_outvoted() -> None:
    specimen = simulator.cathode(64, seed=52, decoy=True)
    sim = simulator.measure(specimen, Conditions(n_patterns=250), seed=52)
    system = system_of(sim.measurement)
    assert sim.measurement.txm is not None
    txm = placed(system, sim.measurement.txm)
    assert txm.agreement.chi_squared > CONSISTENT
    problem = Problems(system.values, system.weights[None], torch.tensor([0.02]))
    first = solve(system.operator, problem, GuidedVariation(txm.guide), iterations=60)[0]
    found = robust_absorption(first, txm.guide)
    expected = true_weights(sim, system.units, 0.0)
    np.testing.assert_allclose(found.weights[1:], expected[1:], rtol=0.08)
