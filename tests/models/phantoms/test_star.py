"""The calibration object: strong, detailed, finite, and solid where it is solid."""

import numpy as np
import pytest

from models.phantoms.specimens import Specimen, make_specimen
from models.phantoms.star import TANTALUM_G_CM3, THICKNESS_UM
from models.physics.diffraction import transmission

FULL_UG_CM2 = TANTALUM_G_CM3 * THICKNESS_UM * 100


@pytest.fixture(scope="module")
def star() -> Specimen:
    return make_specimen("siemens-star", 7)


def test_a_spoke_delays_the_wave_by_one_radian_and_lets_most_of_it_through(star: Specimen) -> None:
    wave = transmission(star.areal_density_ug_cm2(0.0, (400, 400), 7.5), star.elements, 10.0)
    assert -np.angle(wave).min() == pytest.approx(1.0, abs=0.03)
    assert (np.abs(wave) ** 2).min() == pytest.approx(0.72, abs=0.03)
    assert np.angle(wave[120:280, 120:280]).std() > 0.4, "the field of the probe's scan is full of structure"


def test_it_is_either_solid_or_nothing_and_half_of_a_ring_is_solid(star: Specimen) -> None:
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (20_000, 3)) * (1, 1, 0.3)
    (density,) = star.scene.density_at(points)
    assert set(np.unique(density)) == {0.0, TANTALUM_G_CM3}
    radius = np.hypot(points[:, 0], points[:, 1])
    ring = (radius > 0.55) & (radius < 0.8) & (np.abs(points[:, 2]) < THICKNESS_UM / 2)
    assert np.mean(density[ring] > 0) == pytest.approx(0.5, abs=0.05)
    assert not density[radius > 1.45].any()


def test_edge_on_it_is_a_thin_strip_of_the_same_mass(star: Specimen) -> None:
    face, edge = (star.areal_density_ug_cm2(theta, (300, 300), 10.0)[0] for theta in (0.0, 80.0))
    assert edge.sum() == pytest.approx(face.sum(), rel=0.01)
    assert np.flatnonzero(edge.sum(axis=0)).size < 0.6 * np.flatnonzero(face.sum(axis=0)).size
    assert face.max() == pytest.approx(FULL_UG_CM2, rel=1e-3)


def test_the_seed_turns_it() -> None:
    one, other = (make_specimen("siemens-star", seed).areal_density_ug_cm2(0.0, (100, 100), 30.0) for seed in (0, 1))
    assert one.sum() == pytest.approx(other.sum(), rel=0.02)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.9
