from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import j1

from models.physics.photon import wavelength_nm
from models.physics.probe import Probe, gaussian_probe, load_probe, mll_probe, save_probe, zone_plate_probe


def centroid_px(intensity: np.ndarray) -> np.ndarray:
    n = len(intensity)
    turn = np.exp(2j * np.pi * (np.arange(n) - n // 2) / n)
    return np.angle([intensity.sum(axis=1) @ turn, intensity.sum(axis=0) @ turn]) * n / (2 * np.pi)


def annular_amplitude(x_nm: np.ndarray, outermost_zone_nm: float, stop: float) -> np.ndarray:
    v = np.pi * np.asarray(x_nm) / outermost_zone_nm
    return (2 * j1(v) / v - stop**2 * 2 * j1(stop * v) / (stop * v)) / (1 - stop**2)


def test_default_zone_plate_focus_is_40_nm_wide_and_mll_focus_25_nm() -> None:
    assert zone_plate_probe().fwhm_nm() == pytest.approx((40, 40), abs=2)
    assert mll_probe().fwhm_nm() == pytest.approx((25, 25), abs=3)
    assert gaussian_probe(50).fwhm_nm() == pytest.approx((50, 50), abs=0.5)


def test_point_source_focus_of_a_stopped_zone_plate_is_the_annular_airy_pattern() -> None:
    stop = 85 / 250
    probe = zone_plate_probe(source_fwhm_nm=0, n=512, pixel_size_nm=5)
    half = brentq(lambda x: annular_amplitude(x, 30, stop) ** 2 - 0.5, 1, 30)
    assert probe.fwhm_nm()[0] == pytest.approx(2 * half, abs=0.2)
    first_zero = brentq(lambda x: annular_amplitude(x, 30, stop), 20, 40)
    profile = probe.intensity()[256, 256:]
    minimum = 1 + int(np.argmin(profile[1:14]))
    assert minimum * 5 == pytest.approx(first_zero, abs=2.5)
    assert profile[minimum] < 1e-2 * profile[0]


@pytest.mark.parametrize("defocus_um", [0.0, 20.0])
def test_intensity_has_no_structure_finer_than_the_outermost_zone(defocus_um: float) -> None:
    probe = zone_plate_probe(defocus_um=defocus_um)
    transfer = np.abs(np.fft.fft2(probe.intensity()))
    frequency = np.fft.fftfreq(128, 7.5)
    radius = np.hypot(frequency[:, None], frequency)
    assert transfer[radius > 1 / 30 + 2 / 960].max() < 1e-6
    assert transfer[(radius > 0.9 / 30) & (radius < 0.95 / 30)].min() > 1e-5


def test_defocus_spreads_the_beam_and_keeps_power_and_centroid() -> None:
    in_focus, out_of_focus = zone_plate_probe(), zone_plate_probe(defocus_um=40)
    assert out_of_focus.fwhm_nm()[0] > 1.2 * in_focus.fwhm_nm()[0]
    assert np.linalg.norm(out_of_focus.modes) == pytest.approx(np.linalg.norm(in_focus.modes), rel=1e-5)
    assert centroid_px(out_of_focus.intensity()) == pytest.approx([0, 0], abs=1e-3)


def test_astigmatism_splits_the_two_foci() -> None:
    at_vertical_focus = zone_plate_probe(defocus_um=30, astigmatism_um=60)
    height, width = at_vertical_focus.fwhm_nm()
    assert height == pytest.approx(40, abs=2)
    assert width > 1.3 * height


def test_source_blur_widens_the_intensity_like_a_convolution_with_the_source() -> None:
    sharp, blurred = zone_plate_probe(source_fwhm_nm=0), zone_plate_probe(source_fwhm_nm=30, n_modes=100)
    f = np.fft.fftfreq(128, 7.5)
    sigma_nm = 30 / np.sqrt(8 * np.log(2))
    source = np.exp(-2 * (np.pi * sigma_nm) ** 2 * (f[:, None] ** 2 + f**2))
    expected = np.fft.ifft2(np.fft.fft2(sharp.intensity()) * source).real
    np.testing.assert_allclose(blurred.intensity(), expected, atol=2e-3 * expected.max())


def test_modes_are_orthogonal_and_the_strongest_come_first() -> None:
    probe = zone_plate_probe()
    flat = probe.modes.reshape(len(probe.modes), -1)
    overlap = np.abs(flat.conj() @ flat.T)
    np.testing.assert_allclose(overlap, np.diag(np.diag(overlap)), atol=1e-5)
    power = probe.mode_power()
    assert (np.diff(power) <= 1e-6).all()
    assert power.sum() == pytest.approx(1)


def test_a_probe_that_lies_off_centre_is_refused_and_centred_on_request() -> None:
    probe = zone_plate_probe()
    moved = np.roll(probe.modes, (5, -9), axis=(1, 2))
    with pytest.raises(ValueError, match=r"5\.0.*9\.0.*Probe\.centred"):
        Probe(moved, 7.5, 10.0)
    centred = Probe.centred(moved, 7.5, 10.0)
    np.testing.assert_allclose(centred.intensity(), probe.intensity(), atol=1e-6)


def test_an_uneven_probe_is_centred_to_a_thousandth_of_a_pixel() -> None:
    even = gaussian_probe(60).modes[0]
    uneven = even + 0.7 * np.roll(even, (4, 9), axis=(0, 1))
    assert centroid_px(Probe.centred(uneven[None], 7.5, 10.0).intensity()) == pytest.approx([0, 0], abs=1e-3)


@pytest.mark.parametrize("pixel_size_nm", [3.75, 6.25, 7.5, 10.0])
def test_resampling_keeps_power_width_and_centre(pixel_size_nm: float) -> None:
    probe = zone_plate_probe()
    resampled = probe.resampled(pixel_size_nm)
    assert resampled.modes.shape[1] * pixel_size_nm == pytest.approx(960, abs=2 * pixel_size_nm)
    assert np.linalg.norm(resampled.modes) == pytest.approx(np.linalg.norm(probe.modes), rel=1e-5)
    assert resampled.fwhm_nm() == pytest.approx(probe.fwhm_nm(), abs=0.5)
    assert centroid_px(resampled.intensity()) == pytest.approx([0, 0], abs=2e-3)


def test_resampling_there_and_back_returns_the_wavefield() -> None:
    probe = zone_plate_probe(defocus_um=10)
    np.testing.assert_allclose(probe.resampled(5.0).resampled(7.5).modes, probe.modes, atol=1e-5)


def test_pixels_too_coarse_for_the_probe_are_refused() -> None:
    with pytest.raises(ValueError, match="25 nm would alias"):
        zone_plate_probe().resampled(25.0)


def test_digest_names_the_content() -> None:
    assert zone_plate_probe() == zone_plate_probe()
    assert zone_plate_probe().digest != zone_plate_probe(defocus_um=1).digest
    modes = gaussian_probe(40).modes
    assert Probe(modes, 7.5, 10.0, "one").digest == Probe(modes, 7.5, 10.0, "two").digest
    assert Probe(modes, 7.5, 10.0).digest != Probe(modes, 7.5, 11.0).digest


def test_saved_probe_comes_back_the_same(tmp_path: Path) -> None:
    probe = zone_plate_probe(energy_kev=9.5)
    save_probe(tmp_path / "probe.npz", probe)
    loaded = load_probe(tmp_path / "probe.npz")
    assert loaded == probe
    assert loaded.description == probe.description


def test_bad_probe_files_say_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "probe.npz"
    path.write_text("not an archive")
    with pytest.raises(ValueError, match=r"no \.npz archive"):
        load_probe(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"no \.npz archive"):
        load_probe(path)
    np.savez(path, modes=gaussian_probe(40).modes, energy_kev=10.0)
    with pytest.raises(ValueError, match="pixel_size_nm"):
        load_probe(path)
    np.savez(path, modes=np.ones((1, 4, 6), complex), pixel_size_nm=7.5, energy_kev=10.0)
    with pytest.raises(ValueError, match=r"\(1, 4, 6\)"):
        load_probe(path)
    with pytest.raises(FileNotFoundError):
        load_probe(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outermost_zone_nm": 0}, "outermost_zone_nm"),
        ({"central_stop_um": 250}, "central_stop_um"),
        ({"energy_kev": float("nan")}, "energy_kev"),
        ({"source_fwhm_nm": -1}, "source_fwhm_nm"),
        ({"n": 127}, "even"),
        ({"n_modes": 0}, "n_modes"),
        ({"pixel_size_nm": 20}, "pixel_size_nm"),
        ({"defocus_um": 200}, "defocus_um"),
    ],
)
def test_impossible_optics_are_refused_by_name(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zone_plate_probe(**arguments)  # type: ignore[arg-type]


def test_wavelength_at_10_kev() -> None:
    assert wavelength_nm(10) == pytest.approx(0.12398, rel=1e-4)


def test_the_extent_of_a_gaussian_follows_from_its_width() -> None:
    probe = gaussian_probe(60.0, n=256, pixel_size_nm=2.0)
    assert probe.extent_nm(0.5) == pytest.approx(60.0, rel=0.03)
    assert probe.extent_nm(0.9) == pytest.approx(60.0 * np.sqrt(np.log2(10)), rel=0.03)
