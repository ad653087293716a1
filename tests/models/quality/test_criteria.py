"""Every criterion on one curve; independent noise resolves nothing, a volume agrees with itself."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.quality.correlation import FourierCorrelation, bit_threshold, fourier_correlation
from models.quality.criteria import effective_share, halves_resolution, truth_resolution
from models.quality.masks import spherical_mask


def falling(n_shells: int = 25) -> FourierCorrelation:
    """A line from 1 to 0 with the voxels of a cube."""
    shells = np.arange(float(n_shells))
    return FourierCorrelation(1 - shells / (n_shells - 1), np.rint(4 * np.pi * shells**2 + 1).astype(int), 48)


def test_one_seventh_is_crossed_where_the_curve_is_one_seventh() -> None:
    found = halves_resolution(falling(), 10.0).one_seventh
    assert found.crossed
    assert found.period_nm == pytest.approx(48 * 10.0 / (24 * 6 / 7))
    assert str(found).endswith("threshold 1/7")


def test_stricter_criteria_give_coarser_figures() -> None:
    found = halves_resolution(falling(), 10.0)
    assert found.one_seventh.period_nm < found.half_bit.period_nm < found.one_bit.period_nm


def test_fewer_effective_voxels_move_the_bits_and_not_one_seventh() -> None:
    all_voxels, some = halves_resolution(falling(), 10.0), halves_resolution(falling(), 10.0, 0.1)
    assert some.half_bit.period_nm > all_voxels.half_bit.period_nm
    assert some.one_bit.period_nm > all_voxels.one_bit.period_nm
    assert some.one_seventh == all_voxels.one_seventh
    assert some.n_eff_factor == 0.1
    assert "effective voxels 0.1" in some.half_bit.criterion


def test_a_volume_against_itself_is_one_and_at_or_beyond_nyquist_by_every_criterion() -> None:
    volume = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    curve = fourier_correlation(volume, volume)
    assert curve.values == pytest.approx(1.0)
    found = halves_resolution(curve, 10.0)
    for each in (found.half_bit, found.one_bit, found.one_seventh):
        assert not each.crossed
        assert "<= 20 nm (Nyquist" in str(each)


@pytest.mark.parametrize("seed", range(4))
def test_independent_noise_stays_below_half_a_bit(seed: int) -> None:
    one, other = np.random.default_rng(seed).normal(size=(2, 40, 40, 40)).astype(np.float32)
    curve = fourier_correlation(one, other)
    assert (curve.values[2:] < bit_threshold(curve.n_voxels[2:])).all()


def test_masked_independent_noise_stays_below_half_a_bit_of_its_effective_voxels() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 40, 40, 40)).astype(np.float32)
    mask = spherical_mask(one.shape, 12.0, 4.0)
    curve = fourier_correlation(one, other, mask)
    assert (curve.values[3:] < bit_threshold(effective_share(mask) * curve.n_voxels[3:])).all()


def test_the_effective_share_of_a_hard_mask_is_what_it_covers() -> None:
    mask = np.zeros((10, 10), np.float32)
    mask[:5, :4] = 1.0
    assert effective_share(mask) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="zero everywhere"):
        effective_share(np.zeros((3, 3), np.float32))


def test_the_correlation_with_the_truth_finds_where_signal_and_error_are_equal() -> None:
    rng = np.random.default_rng(0)
    truth = gaussian_filter(rng.normal(size=(48, 48, 48)), 2.0, mode="wrap")
    noise = 0.05 * truth.std()
    estimate = truth + noise * rng.normal(size=truth.shape)
    found = truth_resolution(estimate.astype(np.float32), truth.astype(np.float32), 10.0)
    # S / sqrt(S (S + N)) = 1/2 at S = N / 3: exp(-(4 pi f)^2) (4 sqrt(pi))^3 / 0.05^2 = 1/3, f = 0.278.
    frequency = np.sqrt(np.log(3 * (4 * np.sqrt(np.pi)) ** 3 / 0.05**2)) / (4 * np.pi)
    assert found.period_nm == pytest.approx(10.0 / frequency, rel=0.05)
    assert found.criterion == "threshold 1/2 against the truth"
