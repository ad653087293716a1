"""Far-field diffraction: energy, phase gradients, and the grid it shares with the fly-scan operator."""

import numpy as np
import pytest
import xraylib

from models.physics.diffraction import FarField, transmission
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe, gaussian_probe

PROBE = gaussian_probe(60.0, energy_kev=10.0, n=32, pixel_size_nm=15.0)


def free_space(probe: Probe, scale: int, points: int) -> np.ndarray:
    side = probe.modes.shape[-1] + scale * points
    return np.ones((probe.modes.shape[-1] + scale, side), np.complex64)


@pytest.mark.parametrize("motion", ["fly", "step"])
@pytest.mark.parametrize("scale", [1, 4, 5])
def test_every_photon_arrives_when_nothing_stands_in_the_beam(scale: int, motion: str) -> None:
    frames = FarField(PROBE, free_space(PROBE, scale, 3), scale, motion, (32, 32)).row(0)
    assert frames.shape == (3, 32, 32)
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), 1.0, rtol=1e-5)
    assert np.unravel_index(np.argmax(frames[0]), (32, 32)) == (16, 16)


def test_a_phase_gradient_moves_the_pattern_by_whole_pixels() -> None:
    wave = free_space(PROBE, 4, 1)
    ramp = np.exp(2j * np.pi * 3 * np.arange(wave.shape[1]) / 32)
    plain = FarField(PROBE, wave, 4, "step", (32, 32)).row(0)[0]
    moved = FarField(PROBE, (wave * ramp).astype(np.complex64), 4, "step", (32, 32)).row(0)[0]
    np.testing.assert_allclose(moved, np.roll(plain, 3, axis=1), atol=1e-6)


@pytest.mark.parametrize("scale", [4, 5])
@pytest.mark.parametrize("motion", ["fly", "step"])
def test_absorption_is_weighed_where_the_flyscan_operator_weighs_it(scale: int, motion: str) -> None:
    """The sum of a frame is the transmitted intensity under the probe, on the same grid to a fraction of a pixel."""
    import torch

    operator = FlyScanOperator(PROBE, (2, 3), scale, motion)
    y, x = np.indices(operator.fine_shape)
    transmitted = 0.6 + 0.3 * np.sin(x / 11) * np.cos(y / 7)
    expected = operator.forward(torch.from_numpy(transmitted.astype(np.float32))).numpy()
    far_field = FarField(PROBE, np.sqrt(transmitted).astype(np.complex64), scale, motion, (32, 32))
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
        FarField(PROBE, free_space(PROBE, 4, 1), 4, "step", (64, 64))
