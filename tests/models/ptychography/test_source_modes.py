"""Modes of a probe with a source carry the intensity of the blurred probe."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from simulated_ptychography import focus

from models.ptychography.source_modes import with_source

PROBE = focus(64, 64, 3.0).astype(np.complex64)[None]


def test_without_a_source_the_probe_stays() -> None:
    np.testing.assert_allclose(np.abs(with_source(PROBE, (0.0, 0.0))), np.abs(PROBE), atol=1e-6)


@pytest.mark.parametrize("source_px", [(0.8, 0.8), (0.0, 1.5), (2.0, 0.8)])
def test_their_summed_intensity_is_the_blurred_one(source_px: tuple[float, float]) -> None:
    intensity = np.sum(np.abs(with_source(PROBE, source_px)) ** 2, 0)
    blurred = gaussian_filter(np.abs(PROBE[0].astype(np.complex128)) ** 2, source_px, mode="wrap")
    assert np.linalg.norm(intensity - blurred) < 1e-2 * np.linalg.norm(blurred)


def test_they_are_orthogonal_and_the_strongest_comes_first() -> None:
    modes = with_source(PROBE, (1.0, 1.0)).reshape(-1, 64 * 64)
    products = np.abs(modes @ modes.conj().T)
    power = np.diag(products)
    assert np.all(np.diff(power) <= 1e-6 * power[0])
    assert np.abs(products - np.diag(power)).max() < 1e-4 * power[0]
    assert power.sum() == pytest.approx(np.sum(np.abs(PROBE) ** 2), rel=2e-3)
