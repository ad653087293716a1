import numpy as np
import pytest
from scipy.fft import irfft2, rfft2

from models.physics.probe import Probe
from models.superres.prior import CANDIDATES, fit_prior
from models.superres.spectra import scan_spectra


@pytest.mark.parametrize("true", [1, 6, 11])
def test_fit_finds_exponent_and_strength_of_a_gaussian_specimen(probe: Probe, true: int) -> None:
    spectra = scan_spectra(probe, (96, 80), 60.0, 4, "fly")
    rng = np.random.default_rng(true)
    coarse, half = spectra.under(CANDIDATES[true]).coarse, spectra.padded[1] // 2 + 1
    strength = 25.0 / coarse.mean()
    white = rfft2(rng.normal(size=spectra.padded))
    signal = irfft2(white * np.sqrt(strength * coarse[:, :half]), spectra.padded)[:96, :80]
    values = signal + rng.normal(size=signal.shape)
    found, power = fit_prior(values, np.ones(values.shape), spectra.candidates, spectra.padded)
    assert CANDIDATES[found].exponent == pytest.approx(CANDIDATES[true].exponent, abs=0.26)
    assert power == pytest.approx(strength, rel=0.3)  # both at a period of 100 nm, whatever the shape
