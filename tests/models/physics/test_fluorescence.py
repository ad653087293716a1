import numpy as np
import pytest

from models.physics.fluorescence import Surroundings, spectrum_model
from models.physics.xray import channel_energies_kev, emission
from models.run_schema import XrfDetector

DETECTOR = XrfDetector(n_channels=2048, energy_gain_kev=0.01)


def test_line_counts_are_cross_section_times_mass_times_solid_angle() -> None:
    model = spectrum_model(("Zn",), DETECTOR, 12.0)
    expected = emission("Zn", 12.0).cross_sections_cm2_g.sum() * 1e-6 * DETECTOR.solid_angle_sr / (4 * np.pi)
    assert model.templates.sum() == pytest.approx(expected, rel=1e-3)


def test_spectra_are_linear_in_areal_density_and_photons() -> None:
    model = spectrum_model(("Zn", "Mn"), DETECTOR, 12.0, Surroundings(substrate_ug_cm2=0.0))
    one, other = model.expected_counts([1.0, 0.0], 1e8), model.expected_counts([0.0, 2.0], 1e8)
    np.testing.assert_allclose(model.expected_counts([1.0, 2.0], 2e8), 2 * (one + other), rtol=1e-4, atol=1e-6)


def test_an_empty_point_shows_the_substrate_alone() -> None:
    model = spectrum_model(("Zn",), DETECTOR, 12.0)
    np.testing.assert_allclose(model.expected_counts([0.0], 1e8), 1e8 * model.substrate, rtol=1e-6)


def test_photons_may_differ_from_point_to_point() -> None:
    model = spectrum_model(("Zn", "Mn"), DETECTOR, 12.0)
    counts = model.expected_counts(np.ones((2, 3, 2)), np.array([[1e6, 2e6, 3e6]] * 2))
    assert counts.shape == (2, 3, 2048)
    np.testing.assert_allclose(counts[:, 2], 3 * counts[:, 0], rtol=1e-5)


def test_an_l_shell_can_be_asked_for() -> None:
    platinum = spectrum_model(("Pt_L",), DETECTOR, 13.0).templates[0]
    assert channel_energies_kev(DETECTOR)[platinum.argmax()] == pytest.approx(9.44, abs=0.02)


def test_areal_densities_must_match_the_elements() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\): the last axis must be \('Zn', 'Mn'\)"):
        spectrum_model(("Zn", "Mn"), DETECTOR, 12.0).expected_counts([1.0, 2.0, 3.0], 1e8)


def test_an_element_that_is_not_excited_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Se_K is not excited at 12 keV: it needs more than 12\.66 keV"):
        spectrum_model(("Se_K",), DETECTOR, 12.0)
