"""Fourier shell correlation: shell populations, thresholds and crossings with known values."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.quality.correlation import FourierCorrelation, bit_threshold, fourier_correlation, resolution


def curve(values: list[float], n_voxels: int = 10_000) -> FourierCorrelation:
    """A made-up curve with flat thresholds: 0.1884 at half a bit."""
    return FourierCorrelation(np.array(values), np.full(len(values), n_voxels), 2 * (len(values) - 1))


def test_shells_of_a_cube_hold_the_known_numbers_of_voxels() -> None:
    noise = np.random.default_rng(0).normal(size=(48, 48, 48)).astype(np.float32)
    n_voxels = fourier_correlation(noise, noise).n_voxels
    assert n_voxels[:9].tolist() == [1, 18, 62, 98, 210, 350, 450, 602, 762]
    assert n_voxels[24] == 6923


@pytest.mark.parametrize("shape", [(13, 17), (16, 16), (10, 15, 12)])
def test_shells_are_those_of_the_full_transform(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, *shape)).astype(np.float32)
    got = fourier_correlation(one, other)
    frequency = np.sqrt(sum(np.square(f) for f in np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")))
    shell = np.floor(min(shape) * frequency + 0.5).astype(int)
    first, second = np.fft.fftn(one), np.fft.fftn(other)
    for k in range(min(shape) // 2 + 1):
        a, b = first[shell == k], second[shell == k]
        assert got.n_voxels[k] == len(a)
        expected = (a * b.conj()).sum().real / np.sqrt((abs(a) ** 2).sum() * (abs(b) ** 2).sum())
        assert got.values[k] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "half_bit", "one_bit"),
    [(18, 0.46238, 0.58311), (350, 0.24623, 0.39924), (762, 0.22281, 0.37870), (6923, 0.18888, 0.34873)],
)
def test_thresholds_have_their_known_values(n: int, half_bit: float, one_bit: float) -> None:
    assert bit_threshold(n, 0.5) == pytest.approx(half_bit, abs=5e-6)
    assert bit_threshold(n, 1.0) == pytest.approx(one_bit, abs=5e-6)


def test_thresholds_have_their_known_limits() -> None:
    assert bit_threshold(1, 0.5) == pytest.approx(1.0)
    assert bit_threshold(1e12, 0.5) == pytest.approx(0.17157, abs=1e-5)
    assert bit_threshold(1e12, 1.0) == pytest.approx(1 / 3, abs=1e-5)


def test_an_array_agrees_with_itself_and_disagrees_with_its_negative() -> None:
    noise = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    assert fourier_correlation(noise, noise).values == pytest.approx(1.0)
    assert fourier_correlation(noise, -noise).values == pytest.approx(-1.0)


def test_the_crossing_is_interpolated_between_shells() -> None:
    threshold = bit_threshold(10_000, 0.5)
    falling = curve([1, 1, 1, 1, threshold + 0.3, threshold - 0.1, 0, 0, 0])
    found = resolution(falling, 10.0)
    assert found.crossed
    assert found.period_nm == pytest.approx(16 * 10.0 / 4.75)


def test_one_shell_below_is_no_crossing() -> None:
    found = resolution(curve([1, 1, 1, 0.0, 1, 1, 0.0, 0.0, 0.0]), 10.0)
    assert 16 * 10.0 / 6 < found.period_nm < 16 * 10.0 / 5


def test_a_curve_that_never_falls_gives_a_limit_not_a_figure() -> None:
    found = resolution(curve([1.0] * 9), 7.5)
    assert not found.crossed
    assert str(found) == "<= 15 nm (Nyquist: two pixels), 0.5-bit threshold, effective voxels 1"


def test_halves_that_never_agree_resolve_only_the_field() -> None:
    assert resolution(curve([1.0] + [0.0] * 8), 10.0).period_nm == pytest.approx(160.0)


def test_fewer_independent_voxels_make_the_figure_worse() -> None:
    values = np.linspace(1.0, 0.0, 25)
    falling = FourierCorrelation(values, np.round(6 * np.arange(25.0) + 1).astype(np.int64), 48)
    usual, friedel = (resolution(falling, 10.0, n_eff_factor=factor).period_nm for factor in (1.0, 0.5))
    assert friedel > usual
    assert resolution(falling, 10.0, bits=1.0).period_nm > usual


def test_a_blurred_volume_with_independent_noise_resolves_about_its_blur() -> None:
    rng = np.random.default_rng(0)
    volume = gaussian_filter(rng.normal(size=(48, 48, 48)), 2.0, mode="wrap")
    halves = [(volume + 0.05 * volume.std() * rng.normal(size=volume.shape)).astype(np.float32) for _ in range(2)]
    found = resolution(fourier_correlation(*halves), 10.0)
    # White noise blurred by sigma = 2 has the spectrum exp(-(4 pi f)^2) and the variance (4 sqrt(pi))^-3. Over the
    # variance of the noise, 0.05^2 of that, it is 0.207, the SNR of a half at half a bit, at f = 0.29 cycles per pixel.
    assert found.crossed
    assert found.period_nm == pytest.approx(10.0 / 0.29, rel=0.05)


def test_a_mask_hides_what_differs() -> None:
    rng = np.random.default_rng(0)
    one = gaussian_filter(rng.normal(size=(40, 40)), 1.0).astype(np.float32)
    other = one.copy()
    other[:, 30:] = 5.0
    mask = np.zeros((40, 40), dtype=np.float32)
    mask[:, :30] = 1.0
    assert fourier_correlation(one, other, mask).values == pytest.approx(1.0)


def test_halves_on_other_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="one grid"):
        fourier_correlation(np.ones((8, 8), np.float32), np.ones((8, 9), np.float32))


def test_halves_with_holes_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        fourier_correlation(np.full((8, 8), np.nan, np.float32), np.ones((8, 8), np.float32))


@pytest.mark.parametrize(("bits", "n_eff_factor"), [(0.0, 1.0), (0.5, 0.0), (0.5, 2.0)])
def test_meaningless_criteria_are_refused(bits: float, n_eff_factor: float) -> None:
    with pytest.raises(ValueError, match="n_eff_factor"):
        resolution(curve([1.0] * 5), 10.0, bits, n_eff_factor)
