import numpy as np
import pytest

from models.physics.xray import (
    attenuation_cm2_g,
    channel_energies_kev,
    compton_broadening_kev,
    compton_energy_kev,
    emission,
    is_seen,
    peak_sigma_kev,
)
from models.run_schema import XrfDetector


def test_zinc_k_alpha_stands_at_its_tabulated_energy_and_dominates() -> None:
    zinc = emission("Zn", 12.0)
    strongest = zinc.energies_kev[zinc.cross_sections_cm2_g.argmax()]
    assert strongest == pytest.approx(8.639, abs=0.002)  # Bearden, Rev. Mod. Phys. 39 (1967) 78


def test_k_beta_to_k_alpha_ratio_of_iron_is_the_measured_one() -> None:
    iron = emission("Fe", 12.0)
    beta = iron.cross_sections_cm2_g[iron.energies_kev > 6.8].sum()
    assert beta / iron.cross_sections_cm2_g[iron.energies_kev < 6.8].sum() == pytest.approx(0.135, abs=0.01)


def test_without_a_shell_the_innermost_excited_one_is_taken() -> None:
    assert [emission("Zn", energy_kev).shell for energy_kev in (9.7, 9.6)] == ["K", "L"]


def test_subshells_add_up_to_their_shell() -> None:
    parts = sum(emission(f"La_{shell}", 10.0).cross_sections_cm2_g.sum() for shell in ("L1", "L2", "L3"))
    assert parts == pytest.approx(emission("La_L", 10.0).cross_sections_cm2_g.sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("label", "energy_kev", "message"),
    [
        ("Zn_K", 9.0, "needs more than 9.659 keV"),
        ("Pt_L", 11.0, "needs more than 11.56 keV"),
        ("Xx", 12.0, "no element 'Xx'"),
        ("Zn_Q", 12.0, "pass one of K, L, L1, L2, L3"),
    ],
)
def test_what_cannot_fluoresce_is_refused_with_what_could(label: str, energy_kev: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        emission(label, energy_kev)


def test_compton_shift_vanishes_forward_and_grows_with_angle() -> None:
    energies = [compton_energy_kev(12.0, angle) for angle in (0.0, 90.0, 180.0)]
    assert energies == pytest.approx([12.0, 12.0 / (1 + 12 / 510.999), 12.0 / (1 + 24 / 510.999)], rel=1e-5)


def test_compton_peak_is_wider_than_the_detector_makes_it() -> None:
    assert 0.05 < compton_broadening_kev(12.0, 90.0) < 0.15


def test_resolution_at_manganese_is_that_of_a_silicon_drift_detector() -> None:
    fwhm_kev = 2.3548 * peak_sigma_kev(XrfDetector(), np.array([5.895]))[0]
    assert 0.12 < fwhm_kev < 0.16


def test_channel_zero_stands_at_the_offset() -> None:
    energies = channel_energies_kev(XrfDetector(n_channels=8, energy_offset_kev=-0.01, energy_gain_kev=0.005))
    np.testing.assert_allclose(energies[:3], [-0.01, -0.005, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("label", "energy_kev", "seen"),
    [
        ("Mn", 9.0, True),
        ("Ni", 9.0, True),
        ("Ta", 10.0, True),
        ("Cu", 8.9, False),
        ("Al", 9.0, False),
        ("O", 9.0, False),
    ],
)
def test_a_detector_sees_what_is_excited_and_not_too_soft(label: str, energy_kev: float, seen: bool) -> None:
    """Copper below its K edge emits L lines alone, of 0.9 keV."""
    assert is_seen(label, energy_kev) is seen


def test_what_is_no_element_is_told_and_not_unseen() -> None:
    with pytest.raises(ValueError, match="no element 'Xx'"):
        is_seen("Xx", 9.0)


def test_attenuation_jumps_at_the_edge() -> None:
    # Hubbell & Seltzer, NISTIR 5632: mu/rho of copper at 10 keV.
    assert attenuation_cm2_g("Cu", 10.0) == pytest.approx(215.9, rel=0.02)
    assert attenuation_cm2_g("Ni", 8.4) > 6 * attenuation_cm2_g("Ni", 8.3)
