"""What a specimen takes from a beam."""

import numpy as np
import pytest

from models.physics.absorption import optical_depth
from models.physics.diffraction import transmission


def test_one_attenuation_length_of_copper_takes_all_but_a_share_of_1_over_e() -> None:
    # Hubbell & Seltzer, NISTIR 5632: mu/rho of copper at 10 keV is 215.9 cm^2/g.
    copper = np.full((1, 1, 1), 1e6 / 215.9)
    assert optical_depth(copper, ("Cu",), 10.0)[0, 0] == pytest.approx(1.0, rel=0.02)


def test_intensity_is_the_square_of_the_wave() -> None:
    density = np.random.default_rng(0).uniform(0, 500, (2, 5, 4)).astype(np.float32)
    wave = transmission(density, ("Ni", "O"), 9.0)
    np.testing.assert_allclose(np.exp(-optical_depth(density, ("Ni", "O"), 9.0)), np.abs(wave) ** 2, rtol=1e-5)


def test_a_plane_too_many_is_told() -> None:
    with pytest.raises(ValueError, match="2 planes for Ni"):
        optical_depth(np.zeros((2, 3, 3)), ("Ni",), 9.0)
