"""Far-field diffraction: energy, phase gradients, motion, and the places it shares with the fly-scan operator."""

import numpy as np
import pytest
import torch
import xraylib

from models.physics.diffraction import FarField, beam_stop_pixels, transmission
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe, gaussian_probe, zone_plate_probe

PROBE = gaussian_probe(60.0, energy_kev=10.0, n=32, pixel_size_nm=15.0)
SIDE = 32


def vacuum(height: int = 40, width: int = 60) -> np.ndarray:
    return np.ones((height, width), np.complex64)


def textured(height: int = 40, width: int = 60) -> np.ndarray:
    """A strong object with structure of every size, and no two places alike."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.fft2(rng.normal(size=(height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    phase = np.fft.ifft2(spectrum / (0.03 + np.hypot(fy, fx))).real
    return np.exp(1j * phase / np.std(phase)).astype(np.complex64)


def places(*points: tuple[float, float]) -> np.ndarray:
    """One row of (y, x): (2, 1, point)."""
    return np.array(points, np.float64).T[:, None, :]


def frames(
    wave: np.ndarray,
    *points: tuple[float, float],
    travel_px: float = 0.0,
    probe: Probe = PROBE,
    frame_shape: tuple[int, int] = (SIDE, SIDE),
) -> np.ndarray:
    return FarField(probe, wave, places(*points), travel_px, frame_shape).row(0)


@pytest.mark.parametrize("travel_px", [0.0, 4.0, 5.0])
def test_every_photon_arrives_when_nothing_stands_in_the_beam(travel_px: float) -> None:
    seen = frames(vacuum(), (20, 24), (20.5, 28.3), (19.2, 33.9), travel_px=travel_px)
    assert seen.shape == (3, SIDE, SIDE)
    np.testing.assert_allclose(seen.sum(axis=(1, 2)), 1.0, rtol=1e-5)
    assert np.unravel_index(np.argmax(seen[0]), (SIDE, SIDE)) == (16, 16)


def test_a_phase_object_scatters_every_photon_and_a_smaller_frame_misses_some() -> None:
    assert frames(textured(), (20, 28), travel_px=4.0).sum() == pytest.approx(1.0, rel=1e-5)
    cropped = frames(textured(), (20, 28), travel_px=4.0, frame_shape=(16, 16))
    assert 0.5 < cropped.sum() < 0.9999
    whole = frames(textured(), (20, 28), travel_px=4.0)
    np.testing.assert_array_equal(cropped, whole[:, 8:24, 8:24])


def test_a_phase_gradient_moves_the_pattern_by_whole_pixels() -> None:
    wave = vacuum()
    ramp = np.exp(2j * np.pi * 3 * np.arange(wave.shape[1]) / SIDE)
    plain, moved = (frames(w.astype(np.complex64), (20, 28))[0] for w in (wave, wave * ramp))
    np.testing.assert_allclose(moved, np.roll(plain, 3, axis=1), atol=1e-6)


def test_moving_the_probe_or_the_specimen_is_the_same() -> None:
    wave = textured()
    np.testing.assert_allclose(
        frames(wave, (20, 28), (18, 33)), frames(np.roll(wave, (1, 2), axis=(0, 1)), (21, 30), (19, 35)), atol=1e-6
    )


def test_a_part_of_a_pixel_is_a_shift_of_the_probe() -> None:
    """A probe moved by hand and exposed on a whole pixel gives the frame of that part of a pixel."""
    frequency = np.fft.fftfreq(SIDE)
    ramp = np.exp(-2j * np.pi * (0.3 * frequency[:, None] - 0.2 * frequency))
    field = np.fft.ifft2(np.fft.fft2(PROBE.modes[0]) * ramp) * textured()[4:36, 12:44]
    by_hand = np.fft.fftshift(np.abs(np.fft.fft2(field, norm="ortho")) ** 2)
    np.testing.assert_allclose(frames(textured(), (20.3, 27.8))[0], by_hand, atol=1e-6)


def test_a_fly_frame_is_the_mean_of_step_exposures_along_its_way() -> None:
    n, travel_px = 400, 4.0
    along = ((np.arange(n) + 0.5) / n - 0.5) * travel_px
    stepped = frames(textured(), *((20.4, 28.0 + x) for x in along)).mean(axis=0)
    flown = frames(textured(), (20.4, 28.0), travel_px=travel_px)[0]
    np.testing.assert_allclose(flown, stepped, atol=1e-4 * stepped.max())


def test_modes_add_their_light_and_not_their_waves() -> None:
    probe = zone_plate_probe(n=64, n_modes=3)
    single = [
        frames(textured(80, 90), (40, 45), probe=Probe.centred(mode[None], 7.5, 10.0), frame_shape=(64, 64))[0]
        for mode in probe.modes
    ]
    together = frames(textured(80, 90), (40, 45), probe=probe, frame_shape=(64, 64))[0]
    expected = np.tensordot(probe.mode_power(), np.array(single), axes=1)
    np.testing.assert_allclose(together, expected, atol=0.02 * expected.max())  # a mode is not centred by itself


@pytest.mark.parametrize("scale", [4, 5])
@pytest.mark.parametrize("motion", ["fly", "step"])
def test_absorption_is_weighed_where_the_flyscan_operator_weighs_it(scale: int, motion: str) -> None:
    """The sum of a frame is the transmitted intensity under the probe, at the same place to a fraction of a pixel."""
    operator = FlyScanOperator(PROBE, (2, 3), scale, motion)
    y, x = np.indices(operator.fine_shape)
    transmitted = 0.6 + 0.3 * np.sin(x / 11) * np.cos(y / 7)
    expected = operator.forward(torch.from_numpy(transmitted.astype(np.float32))).numpy()
    middle_px = np.reshape([(n - 1) / 2 for n in operator.fine_shape], (2, 1, 1))
    from_middle_px = (np.indices((2, 3)) - np.reshape([0.5, 1.0], (2, 1, 1))) * scale
    travel_px = float(scale) if motion == "fly" else 0.0
    far_field = FarField(
        PROBE, np.sqrt(transmitted).astype(np.complex64), middle_px + from_middle_px, travel_px, (SIDE, SIDE)
    )
    for row in range(2):
        np.testing.assert_allclose(far_field.row(row).sum(axis=(1, 2)), expected[row], rtol=2e-3)


def test_a_foil_absorbs_and_delays_as_tabulated() -> None:
    foil_um, density = 1.0, xraylib.ElementDensity(30)
    wave = transmission(np.full((1, 2, 2), density * foil_um * 100, np.float32), ["Zn"], 10.0)[0, 0]
    index = xraylib.Refractive_Index("Zn", 10.0, density)
    k_per_um = 2 * np.pi / 1.23984e-4
    assert np.angle(wave) == pytest.approx(-(1 - index.real) * k_per_um, rel=0.02)
    assert np.abs(wave) == pytest.approx(np.exp(-index.imag * k_per_um), rel=0.02)


def test_a_frame_beyond_the_probes_window_is_refused() -> None:
    with pytest.raises(ValueError, match="frame_shape"):
        frames(vacuum(), (20, 28), frame_shape=(64, 64))


@pytest.mark.parametrize(("place", "axis"), [((15.0, 28.0), "along y"), ((20.0, 45.0), "along x")])
def test_a_probe_that_reaches_beyond_the_specimen_is_refused(place: tuple[float, float], axis: str) -> None:
    with pytest.raises(ValueError, match=axis):
        frames(vacuum(), place, travel_px=4.0)


def test_a_beam_stop_is_a_disc_about_the_direct_beam() -> None:
    stop = beam_stop_pixels((32, 32), 10.0)
    assert stop[16, 16]
    assert stop.sum() == pytest.approx(np.pi * 25, rel=0.15)
    np.testing.assert_array_equal(stop[1:, 1:], stop[1:, 1:][::-1, ::-1])
    assert not beam_stop_pixels((32, 32), 0.0).any()
