"""FBP against exact projections of an analytic scene: densities, orientation, centre, angles."""

import numpy as np
import pytest

from models.quality.metrics import psnr
from models.tomo.algorithms import ALGORITHMS
from models.tomo.fbp import RampFilter

FBP = ALGORITHMS["fbp"]
PIXEL_NM = 25.0
"""Of the scans of the fixtures."""


def score(scan, centre_px: float | None = None) -> float:
    """PSNR of the reconstruction against the voxel truth."""
    if centre_px is None:
        return psnr(scan.volume, scan.truth)
    return psnr(FBP.reconstruct(scan.projections, scan.angles_deg, centre_px, scan.pixel_size_nm), scan.truth)


def test_the_volume_is_the_voxel_truth(full_scan) -> None:
    volume, truth = full_scan.volume, full_scan.truth
    assert volume.shape == truth.shape == (60, 40, 60)
    assert volume.dtype == np.float32
    assert psnr(volume, truth) > 33
    assert volume.sum(dtype=float) == pytest.approx(truth.sum(dtype=float), rel=1e-3)


def test_density_inside_a_body_is_right_to_a_percent(full_scan) -> None:
    volume = full_scan.volume
    z, y, x = np.indices(volume.shape)
    x_um, y_um, z_um = ((index + 0.5 - n / 2) * 0.025 for index, n in ((x, 60), (y, 40), (z, 60)))
    for centre_um, radius_um, density in (
        ((0.05, 0.0, -0.12), 0.12, 1.0),
        ((0.25, 0.10, 0.05), 0.07, 3.0),
        ((-0.1, -0.12, 0.2), 0.05, 0.0),
    ):
        inside = (x_um - centre_um[0]) ** 2 + (y_um - centre_um[1]) ** 2 + (z_um - centre_um[2]) ** 2 < radius_um**2
        assert volume[inside].mean() == pytest.approx(density, abs=0.01 * max(density, 1.0))


def test_without_a_pixel_size_the_unit_is_the_projections_per_pixel(full_scan) -> None:
    per_pixel = FBP.reconstruct(full_scan.projections, full_scan.angles_deg, 30.0)
    assert np.allclose(per_pixel * 10 / full_scan.pixel_size_nm, full_scan.volume, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mirror", [0, 1, 2])
def test_an_asymmetric_object_comes_out_unmirrored(full_scan, mirror: int) -> None:
    volume = full_scan.volume
    assert psnr(volume, full_scan.truth) > 10 + psnr(np.flip(volume, mirror), full_scan.truth)


@pytest.mark.parametrize("centre_px", [30.0, 30.5, 27.3, 33.8])
def test_the_centre_is_in_edge_coordinates_of_the_detector(make_scan, centre_px: float) -> None:
    moved = make_scan(np.arange(60) * 3.0, centre_px)
    assert score(moved) > 29
    assert score(moved) > max(score(moved, centre_px - 0.5), score(moved, centre_px + 0.5)) + 3


def test_a_wrong_sign_of_the_angles_is_worse(full_scan) -> None:
    volume = FBP.reconstruct(full_scan.projections, -full_scan.angles_deg, 30.0, PIXEL_NM)
    assert psnr(volume, full_scan.truth) < score(full_scan) - 8


def test_the_order_of_measurement_does_not_matter(full_scan) -> None:
    shuffled = np.random.default_rng(0).permutation(len(full_scan.angles_deg))
    one = full_scan.volume
    other = FBP.reconstruct(full_scan.projections[shuffled], full_scan.angles_deg[shuffled], 30.0, PIXEL_NM)
    assert np.allclose(one, other, rtol=0, atol=1e-4 * one.max())


@pytest.mark.parametrize("turn_deg", [180.0, -180.0, 360.0])
def test_angles_beyond_half_a_turn_are_as_good(make_scan, full_scan, turn_deg: float) -> None:
    angles_deg = full_scan.angles_deg + np.where(np.arange(90) % 3 == 0, turn_deg, 0.0)
    assert score(make_scan(angles_deg)) == pytest.approx(score(full_scan), abs=0.3)


def test_golden_angles_are_weighted_by_their_gaps(make_scan) -> None:
    golden = make_scan(np.arange(60) * 180 / ((1 + np.sqrt(5)) / 2) % 180)
    assert score(golden) > 28
    assert golden.volume.sum(dtype=float) == pytest.approx(golden.truth.sum(dtype=float), rel=2e-3)


def test_a_repeated_angle_adds_nothing(full_scan) -> None:
    projections = np.concatenate([full_scan.projections, full_scan.projections[:7]])
    angles_deg = np.concatenate([full_scan.angles_deg, full_scan.angles_deg[:7]])
    twice = FBP.reconstruct(projections, angles_deg, 30.0, PIXEL_NM)
    assert np.allclose(twice, full_scan.volume, rtol=0, atol=1e-4 * twice.max())


def test_noise_is_neither_clipped_nor_biased(full_scan) -> None:
    noise = np.random.default_rng(0).normal(0, 20, full_scan.projections.shape).astype(np.float32)
    noisy = FBP.reconstruct(full_scan.projections + noise, full_scan.angles_deg, 30.0, PIXEL_NM)
    only_noise = FBP.reconstruct(noise, full_scan.angles_deg, 30.0, PIXEL_NM)
    clean = full_scan.volume
    assert noisy.min() < 0
    assert np.allclose(noisy - only_noise, clean, rtol=0, atol=1e-4 * clean.max())


def test_smoother_windows_lower_the_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(30, 40, 60)).astype(np.float32)
    angles_deg = np.arange(30) * 6.0
    spreads = [
        FBP.reconstruct(noise, angles_deg, 30.0, window=window).std()
        for window in ("ramp", "shepp-logan", "cosine", "hann")
    ]
    assert spreads == sorted(spreads, reverse=True)
    assert FBP.reconstruct(noise, angles_deg, 30.0, cutoff=0.5).std() < 0.6 * spreads[0]


def test_the_filter_is_the_ramp_without_its_bias_at_zero() -> None:
    response = RampFilter().response(256)
    frequency = np.fft.rfftfreq(256)
    assert response[8:] == pytest.approx(frequency[8:], rel=0.01)
    assert 0 < response[0] < 1 / 256


def test_missing_pixels_cost_little(full_scan) -> None:
    projections = full_scan.projections.copy()
    rng = np.random.default_rng(0)
    projections[rng.random(projections.shape) < 0.01] = np.nan
    projections[40, 17:19] = np.nan
    volume = FBP.reconstruct(projections, full_scan.angles_deg, 30.0, PIXEL_NM)
    assert psnr(volume, full_scan.truth) > score(full_scan) - 1.0
