from dataclasses import replace

import numpy as np
import pytest

from models.physics.fluorescence import spectrum_model
from models.run_schema import XrfDetector
from models.xrf.calibration import calibrated

GUESS = XrfDetector(n_channels=2048, energy_gain_kev=0.008)


def test_a_gain_off_by_two_per_cent_is_found_from_the_lines() -> None:
    true = replace(GUESS, energy_offset_kev=-0.02, energy_gain_kev=0.00816, noise_fwhm_kev=0.1)
    expected = spectrum_model(("Ca", "Fe", "Zn"), true, 12.0).expected_counts([2.0, 2.0, 2.0], 1e11)
    spectrum = np.random.default_rng(21).poisson(expected)
    found = calibrated(GUESS, spectrum, ("Ca", "Fe", "Zn"), 12.0)
    assert found.energy_gain_kev == pytest.approx(0.00816, rel=2e-4)
    assert found.energy_offset_kev == pytest.approx(-0.02, abs=0.002)
    assert found.noise_fwhm_kev == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("spectrum", "message"), [(np.ones(7), "one spectrum of 2048"), (np.zeros(2048), "no counts in channels")]
)
def test_a_spectrum_that_cannot_be_used_is_refused(spectrum: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrated(GUESS, spectrum, ("Fe", "Zn"), 12.0)
