import re
from dataclasses import replace

import numpy as np
import pytest
import singlepixel as simulator
from singlepixel import PHASES, Conditions, Simulated, mean_psnr

from models.singlepixel.measurement import checked
from models.singlepixel.methods import METHODS
from models.singlepixel.reconstruct import reconstruct


@pytest.fixture(scope="module")
def plain_db(scan: Simulated) -> float:
    return mean_psnr(reconstruct(scan.measurement, "tv", uncertainty=False).maps, scan.truth)


def test_auto_beats_tv_by_seven_db_and_the_pseudo_inverse_by_fifteen(scan: Simulated, plain_db: float) -> None:
    found = reconstruct(scan.measurement, uncertainty=False)
    pinv = mean_psnr(reconstruct(scan.measurement, "pinv", uncertainty=False).maps, scan.truth)
    assert (found.method, found.requested, found.notes) == ("guided", "auto", ())
    assert mean_psnr(found.maps, scan.truth) > max(plain_db + 7, pinv + 15)
    assert found.quality["held_out_misfit"] < found.quality["held_out_misfit_tv"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no TXM image"),
        ("constant", "constant"),
        ("noise", r"explain \d% of"),
        ("upside down", "without the TXM image|explain"),
        ("another", "without the TXM image|explain"),
    ],
)
def test_a_txm_image_that_does_not_help_is_not_used_and_this_is_said(
    scan: Simulated, plain_db: float, kind: str, says: str
) -> None:
    other = simulator.measure(simulator.cathode(48, seed=60), Conditions(n_patterns=2), seed=60).measurement.txm
    txm = scan.measurement.txm
    assert txm is not None
    images = {
        "missing": None,
        "constant": np.ones((48, 48), np.float32),
        "noise": np.random.default_rng(1).standard_normal((48, 48)).astype(np.float32),
        "upside down": txm[::-1].copy(),
        "another": other,
    }
    found = reconstruct(replace(scan.measurement, txm=images[kind]), uncertainty=False)
    assert mean_psnr(found.maps, scan.truth) > plain_db - 0.3
    assert found.method == "tv"
    assert found.notes[0].startswith("tv instead of guided: ")
    assert re.search(says, found.notes[0])


def test_a_txm_image_four_pixels_off_is_moved_back(plain_db: float) -> None:
    specimen = simulator.cathode(48, seed=74, stoichiometry_error=0.05)
    conditions = Conditions(n_patterns=160, mu_error=0.1, txm_shift_px=(4.0, 0.0))
    sim = simulator.measure(specimen, conditions, seed=74)
    found = reconstruct(sim.measurement, uncertainty=False)
    assert found.quality["txm_shift_y_px"] == pytest.approx(-4, abs=0.1)
    assert mean_psnr(found.maps, sim.truth) > plain_db + 3


def test_patterns_a_quarter_pixel_off_and_wrong_weights_leave_four_db_over_tv() -> None:
    specimen = simulator.cathode(48, seed=59, stoichiometry_error=0.05)
    sim = simulator.measure(specimen, Conditions(n_patterns=160, mu_error=0.1, pattern_jitter_px=0.25), seed=59)
    found, plain = (reconstruct(sim.measurement, m, uncertainty=False) for m in ("auto", "tv"))
    assert mean_psnr(found.maps, sim.truth) > mean_psnr(plain.maps, sim.truth) + 4


def test_an_absorber_without_the_elements_hardly_leaks_into_their_maps() -> None:
    specimen = simulator.cathode(48, seed=74, decoy=True)
    sim = simulator.measure(specimen, Conditions(n_patterns=160, mu_error=0.1), seed=74)
    found = reconstruct(sim.measurement, uncertainty=False)
    inside = (specimen.decoy > 0.45) & (specimen.maps.sum(0) < 1e-3)
    leaks = [found.maps[e][inside].mean() / sim.counts_per_unit / 0.5 for e in sim.truth]
    assert found.method == "guided"
    assert inside.sum() > 30
    assert max(leaks) < 0.03


def test_sigma_holds_nine_tenths_of_the_truth(scan: Simulated) -> None:
    found = reconstruct(scan.measurement)
    inside = [np.abs(found.maps[e] - truth) < 1.645 * found.sigma[e] for e, truth in scan.truth.items()]
    assert 0.84 < np.mean(inside) < 0.96


def test_the_same_seed_gives_the_same_result(small: Simulated) -> None:
    one, other = (reconstruct(small.measurement, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.maps["Ni"], other.maps["Ni"])
    np.testing.assert_array_equal(one.sigma["Ni"], other.sigma["Ni"])


def test_units_of_patterns_and_counts_only_scale_the_maps(small: Simulated) -> None:
    m = small.measurement
    once = reconstruct(m, uncertainty=False)
    other = checked(
        50 * m.patterns, {e: 3 * c for e, c in m.counts.items()}, {e: 9 * c for e, c in m.counts.items()}, m.txm
    )
    found = reconstruct(other, uncertainty=False)
    np.testing.assert_allclose(found.maps["Co"], once.maps["Co"] * 3 / 50, atol=0.02 * once.maps["Co"].max() * 3 / 50)


@pytest.mark.parametrize("n_patterns", [1, 2, 12])
@pytest.mark.parametrize("with_txm", [True, False])
def test_few_patterns_give_finite_maps_with_about_the_right_total(
    scan: Simulated, n_patterns: int, with_txm: bool
) -> None:
    m = scan.measurement
    counts = {e: c[:n_patterns] for e, c in m.counts.items()}
    found = reconstruct(checked(m.patterns[:n_patterns], counts, None, m.txm if with_txm else None))
    for element, truth in scan.truth.items():
        assert np.isfinite(found.maps[element]).all()
        assert np.isfinite(found.sigma[element]).all()
        assert found.maps[element].sum() == pytest.approx(truth.sum(), rel=0.25)
    assert any("too few to hold any out" in note for note in found.notes)


def test_an_element_without_counts_has_an_empty_map(scan: Simulated) -> None:
    m = scan.measurement
    found = reconstruct(replace(m, counts={**m.counts, "Fe": np.zeros(len(m.patterns))}))
    assert np.isfinite(found.maps["Fe"]).all()
    assert found.maps["Fe"].max() < 1e-3 * found.maps["Ni"].max()
    assert mean_psnr({e: found.maps[e] for e in scan.truth}, scan.truth) > 25


def test_progress_names_its_stages_and_ends_them(small: Simulated) -> None:
    told: dict[str, list[float]] = {}
    reconstruct(small.measurement, "guided", progress=lambda stage, done: told.setdefault(stage, []).append(done))
    assert list(told) == ["patterns", "choosing lambda of guided", "reconstructing by guided", "resampling"]
    for fractions in told.values():
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1


@pytest.mark.parametrize("method", ["guided", "tv"])
def test_phases_are_found_where_they_are(scan: Simulated, method: str) -> None:
    found = reconstruct(scan.measurement, method, phases=PHASES, uncertainty=False)
    assert found.phase_fractions is not None
    true = scan.specimen.phases.sum((1, 2)) / scan.specimen.phases.sum()
    off = np.abs(np.array(list(found.phase_fractions.values())) - true)
    assert off.max() < (0.02 if method == "guided" else 0.06)
    assert sum(found.phase_fractions.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        ("magic", {}, "there is no method 'magic': choose auto or one of pinv"),
        ("guided", {"txm": None}, "there is no TXM image"),
        ("siren", {"txm": None}, "there is no TXM image"),
        ("siren-phase", {}, "siren-phase needs phases"),
    ],
)
def test_what_a_method_needs_is_said(scan: Simulated, method: str, changes: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reconstruct(replace(scan.measurement, **changes), method)


def test_pixels_of_another_size_are_for_networks(scan: Simulated) -> None:
    with pytest.raises(ValueError, match="only the networks"):
        reconstruct(scan.measurement, "guided", shape=(96, 96))


def test_the_table_has_every_method() -> None:
    assert set(METHODS) == {"pinv", "ridge", "tv", "guided", "siren", "siren-simplex", "siren-phase"}
