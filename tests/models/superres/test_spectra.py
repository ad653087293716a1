import numpy as np
import pytest
from scipy.fft import fftfreq, ifft2, irfft2

from models.physics.flyscan import fly_kernel, matched_probe
from models.physics.probe import Probe, gaussian_probe
from models.superres.prior import PowerLaw
from models.superres.spectra import ScanSpectra

PRIOR = PowerLaw(1 / 300, 1.5)


@pytest.mark.parametrize(("scale", "binning"), [(2, 2), (3, 1)])
def test_coarse_and_cross_spectra_equal_dense_algebra(scale: int, binning: int) -> None:
    lobe = gaussian_probe(40, n=32).modes[0]
    probe = Probe.centred((lobe + 0.6 * np.roll(lobe, (1, 2), axis=(0, 1)))[None], 7.5, 10.0)
    step_nm = 7.5 * scale * binning
    spectra = ScanSpectra(probe, (2, 3), step_nm, scale, "fly")
    decimation, (rows, columns) = scale * binning, spectra.padded
    side_y, side_x = decimation * rows, decimation * columns

    squared = fftfreq(side_y, 7.5)[:, None] ** 2 + fftfreq(side_x, 7.5) ** 2
    covariance = ifft2(PRIOR.spectrum(squared)).real

    matched, found = matched_probe(probe, step_nm, scale)
    assert found == binning
    kernel = fly_kernel(matched.intensity(), decimation, "fly").astype(float)
    start = np.arange(len(kernel)) - (len(kernel) - decimation) // 2

    def beam(i: int, j: int) -> np.ndarray:
        """What point (i, j) reads, wrapped onto the periodic grid."""
        weights = np.zeros((side_y, side_x))
        places = np.ix_((start + decimation * i) % side_y, (start + decimation * j) % side_x)
        np.add.at(weights, places, kernel)
        return weights

    spread = irfft2(np.fft.rfft2(beam(0, 0)) * np.fft.rfft2(covariance), (side_y, side_x))
    under = spectra.under(PRIOR)
    coarse = ifft2(under.coarse).real
    for i, j in ((0, 0), (1, 0), (0, 2), (3, 5)):
        assert coarse[i, j] == pytest.approx(np.sum(beam(i, j) * spread), rel=1e-4)
    averaged = spread.reshape(scale * rows, binning, scale * columns, binning).mean(axis=(1, 3))
    np.testing.assert_allclose(irfft2(under.cross, spectra.fine), averaged, atol=1e-4 * averaged.max())
    if binning == 1:
        assert under.fine_variance == pytest.approx(covariance[0, 0])


def test_a_map_smaller_than_the_beams_window_folds_the_beam_and_keeps_its_unit_sum() -> None:
    spectra = ScanSpectra(gaussian_probe(40), (1, 1), 30.0, 4, "fly")
    assert spectra.fine[0] < 128
    flat = PowerLaw(1.0, 1e-6)  # white to a part in a million: the mean survives with the square of the beam's sum
    assert spectra.under(flat).coarse[0, 0] * 4**2 >= 1 - 1e-3
