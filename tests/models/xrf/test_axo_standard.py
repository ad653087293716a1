"""The fit on a measured thin film of known composition: see tests/data/axo-standard/README.md."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.run_schema import XrfDetector
from models.xrf.calibration import calibrated
from models.xrf.fit import MapFit

FOLDER = Path(__file__).parents[2] / "data" / "axo-standard"
ENERGY_KEV = 10.0
RANGE_KEV = (2.75, 9.0)
KNOWN = ("Ca", "Fe", "Cu", "Ar", "K", "La_L")
PRESENT, ABSENT = ("Ca", "Fe", "Cu"), ("Cr", "Mn", "Ni")
GUESS = XrfDetector(
    n_channels=1152, energy_offset_kev=-0.0042, energy_gain_kev=0.0095216, noise_fwhm_kev=0.097, fano=0.18
)


@pytest.fixture(scope="module")
def line_counts() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts in the lines of PRESENT and ABSENT and their variance, (element, y, x), summed over the detector."""
    spectra = np.load(FOLDER / "spectra.npz")["spectra"]
    counts, variance = np.zeros((2, 6, 11, 11))
    for each in range(4):  # one by one, for their gains differ by up to 1.3 %
        own = spectra[:, :, each : each + 1]
        detector = calibrated(GUESS, own.sum(axis=(0, 1, 2)), KNOWN, ENERGY_KEV, energy_range_kev=RANGE_KEV)
        fit = MapFit(PRESENT + ABSENT, detector, ENERGY_KEV, neighbours=("Ar", "K", "La_L"), energy_range_kev=RANGE_KEV)
        maps = fit.fit(
            own,
            live_time_s=np.ones(own.shape[:3]),
            real_time_s=np.ones(own.shape[:3]),
            i0=np.ones(own.shape[:2]),
            i0_nominal=1.0,
            dwell_s=1.0,
            shape=(11, 11),
            pixel_size_nm=1000.0,
        )
        counts += maps.values * maps.counts_per_unit[:, None, None]
        variance += maps.variance * maps.counts_per_unit[:, None, None] ** 2
    return counts, variance


def test_calcium_iron_and_copper_stand_out_thirty_sigma_at_every_point(
    line_counts: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    counts, variance = line_counts
    assert (counts / np.sqrt(variance))[:3].min() > 30


def test_chromium_manganese_and_nickel_are_below_two_sigma_per_point_and_two_per_cent_of_iron(
    line_counts: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    counts, variance = line_counts
    mean_significance = (counts / np.sqrt(variance))[3:].mean(axis=(1, 2))
    assert np.abs(mean_significance).max() < 2
    assert np.abs(counts[3:].sum(axis=(1, 2))).max() < 0.02 * counts[1].sum()


def test_iron_copper_and_what_is_absent_scatter_from_point_to_point_as_the_fit_says(
    line_counts: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    counts, variance = line_counts
    ratio = (counts.var(axis=(1, 2)) / variance.mean(axis=(1, 2)))[1:]  # calcium itself is uneven in this film
    assert np.all((ratio > 0.65) & (ratio < 1.5))  # 121 points: 13 % of standard deviation
