"""PSNR, SSIM and NRMSE against closed forms and against a plain evaluation of their definitions."""

import numpy as np
import pytest

from models.quality.metrics import nrmse, psnr, ssim


def pair(shape: tuple[int, ...] = (24, 31), noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """(estimate, truth)."""
    rng = np.random.default_rng(0)
    truth = rng.random(shape)
    return truth + noise * rng.normal(size=shape), truth


def window(n_axes: int) -> np.ndarray:
    """The 11-tap Gaussian of Wang et al., written out."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel = taps
    for _ in range(n_axes - 1):
        kernel = np.multiply.outer(kernel, taps)
    return kernel / kernel.sum()


def plain_ssim(x: np.ndarray, y: np.ndarray, data_range: float) -> float:
    """The definition, window by window."""
    kernel = window(x.ndim)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for corner in np.ndindex(*(n - 10 for n in x.shape)):
        part = tuple(slice(start, start + 11) for start in corner)
        a, b = x[part], y[part]
        mean_a, mean_b = (kernel * a).sum(), (kernel * b).sum()
        var_a, var_b = (kernel * (a - mean_a) ** 2).sum(), (kernel * (b - mean_b) ** 2).sum()
        cov = (kernel * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        values.append(luminance * (2 * cov + c2) / (var_a + var_b + c2))
    return float(np.mean(values))


def test_psnr_of_a_constant_error_is_its_closed_form() -> None:
    truth = np.linspace(0.0, 2.0, 50).reshape(5, 10)
    assert psnr(truth + 0.02, truth) == pytest.approx(40.0)
    assert psnr(truth + 0.02, truth, data_range=0.2) == pytest.approx(20.0)


def test_psnr_of_equal_arrays_is_infinite() -> None:
    truth = np.arange(6.0)
    assert psnr(truth, truth) == np.inf


def test_nrmse_is_relative_to_the_norm_of_the_truth() -> None:
    truth = np.array([[3.0, 4.0]])
    assert nrmse(truth * 1.1, truth) == pytest.approx(0.1)


@pytest.mark.parametrize("shape", [(15, 18), (12, 13, 14)])
def test_ssim_is_its_definition_in_two_and_three_dimensions(shape: tuple[int, ...]) -> None:
    estimate, truth = pair(shape)
    assert ssim(estimate, truth, data_range=1.0) == pytest.approx(plain_ssim(estimate, truth, 1.0), rel=1e-9)


def test_ssim_is_one_for_equal_arrays_and_falls_with_noise() -> None:
    _, truth = pair()
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert ssim(*pair(noise=0.05)) > ssim(*pair(noise=0.2)) > ssim(*pair(noise=0.8))


def test_a_bias_costs_ssim() -> None:
    _, truth = pair()
    assert ssim(truth + 0.5, truth) < 0.95


def test_masked_pixels_do_not_count_whatever_they_hold() -> None:
    estimate, truth = pair()
    mask = np.ones(truth.shape, dtype=bool)
    mask[8:12, 10:15] = False
    spoiled = np.where(mask, estimate, np.nan)
    for metric in (psnr, nrmse, ssim):
        assert metric(spoiled, truth, mask=mask) == metric(np.where(mask, estimate, 1e9), truth, mask=mask)
    assert psnr(spoiled, truth, 1.0, mask) == pytest.approx(psnr(estimate[mask], truth[mask], 1.0))


def test_a_full_mask_changes_nothing() -> None:
    estimate, truth = pair()
    everywhere = np.ones(truth.shape, dtype=bool)
    for metric in (psnr, nrmse, ssim):
        assert metric(estimate, truth, mask=everywhere) == metric(estimate, truth)


@pytest.mark.parametrize("metric", [psnr, ssim, nrmse])
def test_values_that_are_not_finite_are_refused_unless_masked(metric) -> None:
    estimate, truth = pair()
    estimate[0, 0] = np.nan
    with pytest.raises(ValueError, match="pass a mask"):
        metric(estimate, truth)


@pytest.mark.parametrize("metric", [psnr, ssim, nrmse])
def test_other_grids_are_refused(metric) -> None:
    with pytest.raises(ValueError, match="one grid"):
        metric(np.ones((12, 12)), np.ones((12, 13)))


def test_a_constant_truth_needs_a_range() -> None:
    with pytest.raises(ValueError, match="positive data_range"):
        psnr(np.ones((3, 3)), np.ones((3, 3)))


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 11 pixels a side"):
        ssim(np.eye(9), np.eye(9))


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        psnr(np.eye(3), np.eye(3), mask=np.zeros((3, 3), dtype=bool))


def test_a_zero_truth_has_no_relative_error() -> None:
    with pytest.raises(ValueError, match="no meaning"):
        nrmse(np.ones(3), np.zeros(3))
