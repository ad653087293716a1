"""Sigma of the single-pixel methods: the factors that calibrate it, and its coverage on specimens of no calibration.

pytest tests/benchmarks/test_singlepixel_sigma.py -s -o addopts=--import-mode=importlib
"""

import numpy as np
import pytest
import singlepixel as simulator
from singlepixel import PHASES, Conditions, Simulated

from models.singlepixel.methods import METHODS
from models.singlepixel.reconstruct import reconstruct
from models.singlepixel.uncertainty import FACTORS

NINETY = 1.645
CALIBRATED_ON, TESTED_ON = range(30, 38), range(80, 88)
COUNTS = (1e4, 1e6)
pytestmark = pytest.mark.timeout(3600)  # siren takes 10 s of a core for each of 16 measurements
PRESENT = 0.02  # of the largest total: pixels of the specimen


def measured(seed: int, mean_counts: float) -> Simulated:
    specimen = simulator.cathode(80, seed, stoichiometry_error=0.05)
    return simulator.measure(specimen, Conditions(mean_counts=mean_counts, mu_error=0.1), seed)


def normalised_errors(method: str, seeds: range) -> list[np.ndarray]:
    """Of each specimen: |error| / (1.645 sigma) of all pixels and of the specimen's, one after the other."""
    errors = []
    for seed in seeds:
        for mean_counts in COUNTS:
            sim = measured(seed, mean_counts)
            found = reconstruct(sim.measurement, method, phases=PHASES)
            inside = sim.specimen.maps.sum(0) > PRESENT
            off = [np.abs(found.maps[e] - truth) / (NINETY * found.sigma[e]) for e, truth in sim.truth.items()]
            errors.append(np.concatenate([np.stack(off).ravel(), np.stack(off)[:, inside].ravel()]))
    return errors


def _alike(n_values: int, n_all: int = 3 * 80 * 80) -> np.ndarray:
    """Half for all pixels, half for the specimen's."""
    return np.concatenate([np.full(n_all, 0.5 / n_all), np.full(n_values - n_all, 0.5 / (n_values - n_all))])


@pytest.mark.parametrize("method", METHODS)
def test_factors_are_those_of_the_calibration(method: str) -> None:
    """All pixels and those of the specimen weigh alike: with an empty half of the field they cannot both be at 90 %."""
    errors = normalised_errors(method, CALIBRATED_ON)
    weights = [_alike(len(e)) for e in errors]
    order = np.argsort(np.concatenate(errors))
    cumulative = np.cumsum(np.concatenate(weights)[order]) / len(errors)
    factor = FACTORS[method] * np.concatenate(errors)[order][np.searchsorted(cumulative, 0.9)]
    print(f"{method}: factor {factor:.3f}, in use {FACTORS[method]}")
    assert FACTORS[method] == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_nine_tenths_of_the_truth_lie_within_the_interval(method: str) -> None:
    errors = normalised_errors(method, TESTED_ON)
    whole = 3 * 80 * 80
    everywhere, inside = np.mean([(np.mean(e[:whole] < 1), np.mean(e[whole:] < 1)) for e in errors], axis=0)
    print(f"{method}: {everywhere:.1%} of all pixels, {inside:.1%} of the specimen's")
    assert 0.87 < (everywhere + inside) / 2 < 0.93
