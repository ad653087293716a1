from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import shift
from singlepixel import PHASES, Conditions, cathode, mean_psnr, measure

from models.singlepixel.measurement import PatternMeasurement, checked
from models.singlepixel.methods import METHODS
from models.singlepixel.reconstruct import reconstruct

SIDE = 48
FEW = Conditions(n_patterns=SIDE * SIDE // 20, mu_error=0.1)


@pytest.fixture(scope="module")
def simulated():
    """5 % of the pixels' number of patterns; weights in the TXM, composition, patterns are not what anybody assumes."""
    return measure(cathode(SIDE, 41, stoichiometry_error=0.03), replace(FEW, pattern_jitter_px=0.1), 41)


def with_txm(measurement, txm):
    return PatternMeasurement(measurement.patterns, measurement.counts, None, txm)


def psnr(simulated, measurement, method="auto"):
    return mean_psnr(reconstruct(measurement, method, uncertainty=False).maps, simulated.truth)


def test_the_default_is_guided_and_far_better_than_what_knows_no_picture(simulated):
    result = reconstruct(simulated.measurement, uncertainty=False)
    assert result.method == "guided"

    found = mean_psnr(result.maps, simulated.truth)
    assert found > psnr(simulated, simulated.measurement, "pinv") + 12
    assert found > psnr(simulated, simulated.measurement, "tv") + 6


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_the_counts_in_their_own_unit(simulated, method):
    result = reconstruct(simulated.measurement, method, uncertainty=False, phases=PHASES)

    for element, counts in simulated.measurement.counts.items():
        told = np.tensordot(simulated.measurement.patterns, result.maps[element], 2)
        assert np.corrcoef(told, counts)[0, 1] > 0.9
        assert told.mean() == pytest.approx(counts.mean(), rel=0.05)


@pytest.mark.parametrize("kind", ["noise", "another", "constant", "none"])
def test_a_picture_of_something_else_does_no_harm(simulated, kind):
    rng = np.random.default_rng(6)
    other = measure(cathode(SIDE, 42), FEW, 42).measurement.txm
    pictures = {"noise": rng.random((SIDE, SIDE)), "another": other, "constant": np.ones((SIDE, SIDE)), "none": None}
    given = pictures[kind]
    misled = with_txm(simulated.measurement, given if given is None else given.astype(np.float32))

    result = reconstruct(misled, uncertainty=False)

    assert mean_psnr(result.maps, simulated.truth) > psnr(simulated, misled, "tv") - 0.3
    if result.method == "tv":
        assert any("tv instead of guided" in note for note in result.notes)


def test_a_picture_that_lies_elsewhere_is_brought_back(simulated):
    moved = with_txm(simulated.measurement, shift(simulated.measurement.txm, (3.0, -2.6), order=3, mode="nearest"))

    result = reconstruct(moved, uncertainty=False)

    assert result.method == "guided"
    assert (result.quality["txm_shift_y_px"], result.quality["txm_shift_x_px"]) == pytest.approx((-3.0, 2.6), abs=0.25)
    assert mean_psnr(result.maps, simulated.truth) > psnr(simulated, moved, "tv") + 3


def test_the_unit_of_the_picture_does_not_matter(simulated):
    other = with_txm(simulated.measurement, 37 * simulated.measurement.txm + 5)

    assert psnr(simulated, other) == pytest.approx(psnr(simulated, simulated.measurement), abs=0.7)


def test_the_same_seed_gives_the_same_maps_and_sigma(simulated):
    first, second = (reconstruct(simulated.measurement) for _ in range(2))

    for element in first.elements:
        np.testing.assert_array_equal(first.maps[element], second.maps[element])
        np.testing.assert_array_equal(first.sigma[element], second.sigma[element])


def test_ninety_percent_intervals_hold_about_ninety_percent(simulated):
    result = reconstruct(simulated.measurement)

    held = [np.abs(result.maps[el] - true) <= 1.645 * result.sigma[el] for el, true in simulated.truth.items()]
    assert 0.8 < np.mean(held) < 0.97


def test_phases_of_known_composition_add_up_to_the_field(simulated):
    result = reconstruct(simulated.measurement, uncertainty=False, phases=PHASES)

    true = simulated.specimen.phases.sum((1, 2)) / simulated.specimen.phases.sum()
    assert sum(result.phase_fractions.values()) == pytest.approx(1)
    assert list(result.phase_fractions.values()) == pytest.approx(true, abs=0.03)
    assert result.phase_maps["NMC"].shape == (SIDE, SIDE)


def test_phases_that_cannot_be_told_apart_are_refused(simulated):
    with pytest.raises(ValueError, match="cannot be told apart"):
        reconstruct(simulated.measurement, phases=PHASES | {"mix": {"Co": 1.0, "Ni": 1.0}}, uncertainty=False)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_patterns_gives_maps_that_explain_them(n):
    simulated = measure(cathode(24, 7), Conditions(n_patterns=n), 7)

    result = reconstruct(simulated.measurement)

    for element, image in result.maps.items():
        assert np.isfinite(image).all()
        told = np.tensordot(simulated.measurement.patterns, image, 2)
        np.testing.assert_allclose(told, simulated.measurement.counts[element], rtol=0.25)


def test_what_was_not_measured_is_left_out_and_said(simulated):
    patterns, counts = simulated.measurement.patterns.copy(), dict(simulated.measurement.counts)
    counts["Mn"] = counts["Mn"].copy()
    counts["Mn"][3] = np.nan
    patterns[5] = np.nan

    result = reconstruct(checked(patterns, counts, None, simulated.measurement.txm), uncertainty=False)

    assert "2 of" in result.notes[0]
    assert mean_psnr(result.maps, simulated.truth) > psnr(simulated, simulated.measurement) - 1.5


def test_an_unknown_method_is_told_with_those_there_are(simulated):
    with pytest.raises(ValueError, match="auto or one of pinv, ridge, tv, guided"):
        reconstruct(simulated.measurement, "magic")


def test_progress_ends_at_one(simulated):
    told = []
    reconstruct(
        simulated.measurement, uncertainty=False, progress=lambda stage, fraction: told.append((stage, fraction))
    )

    assert told[-1][1] == 1.0
    assert all(0 <= fraction <= 1 for _, fraction in told)
