"""What makes the specimens believable: mass, positivity, co-located but different elements, seeds."""

import numpy as np
import pytest

from models.phantoms.specimens import SPECIMENS, Specimen, make_specimen


@pytest.fixture(params=sorted(SPECIMENS))
def specimen(request: pytest.FixtureRequest) -> Specimen:
    return make_specimen(request.param, 7)


def test_the_whole_mass_is_in_view_at_every_angle(specimen: Specimen) -> None:
    wide = np.stack([specimen.areal_density_ug_cm2(theta, (50, 50), 120.0) for theta in (0.0, 31.0, 158.0)])
    masses = wide.sum(axis=(2, 3), dtype=np.float64)
    assert np.all(np.ptp(masses, axis=0) < 3e-4 * masses[0])
    in_4_2_um = wide[:, :, 8:-8, 8:-8].sum(axis=(2, 3), dtype=np.float64)
    assert np.allclose(in_4_2_um, masses, rtol=1e-6)


def test_density_is_nowhere_negative_and_nowhere_above_the_densest_compound(specimen: Specimen) -> None:
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (20_000, 3))
    density = specimen.scene.density_at(points)
    assert density.min() > -1e-9
    assert density.sum(axis=0).max() < 4.5


def test_one_seed_gives_one_specimen(specimen: Specimen) -> None:
    again = SPECIMENS[specimen.name](specimen.seed)
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (4000, 3))
    assert np.array_equal(specimen.scene.density_at(points), again.density_at(points))


def test_another_seed_gives_another_specimen() -> None:
    one, other = (make_specimen("nmc-particle", seed).areal_density_ug_cm2(0.0, (20, 20), 200.0) for seed in (1, 2))
    assert not np.allclose(one, other, rtol=0.01)


def test_zinc_and_manganese_are_co_located_but_not_identical(cathode: Specimen) -> None:
    zinc, manganese = cathode.areal_density_ug_cm2(64.0, (70, 70), 60.0)
    assert 0.3 < np.corrcoef(zinc.ravel(), manganese.ravel())[0, 1] < 0.95


def test_some_zinc_stands_without_manganese(cathode: Specimen) -> None:
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (20_000, 3))
    zinc, manganese = cathode.scene.density_at(points)
    assert np.mean(manganese[zinc > 0.1] < 1e-6) > 0.02


def test_nickel_falls_and_manganese_rises_towards_the_surface(nmc: Specimen) -> None:
    points = np.random.default_rng(0).uniform(-1.7, 1.7, (20_000, 3))
    nickel, _, manganese = nmc.scene.density_at(points)
    radius = np.linalg.norm(points, axis=1)
    inner, outer = ((nickel > 0) & (radius < 0.8)), ((nickel > 0) & (radius > 1.4))
    assert nickel[inner].mean() > 1.2 * nickel[outer].mean()
    assert manganese[outer].mean() > 2 * manganese[inner].mean()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="choose one of nmc-particle, zn-mn-cathode"):
        make_specimen("pyrite", 0)
