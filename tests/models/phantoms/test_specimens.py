"""What makes the specimens believable: mass, positivity, co-located but different elements, seeds."""

from functools import lru_cache

import numpy as np
import pytest

from models.phantoms.specimens import SPECIMENS, Specimen, make_specimen


@lru_cache
def seen(specimen: Specimen, theta_deg: float) -> np.ndarray:
    """6 um x 6 um in pixels of 30 nm, (element, y, x)."""
    return specimen.areal_density_ug_cm2(theta_deg, (200, 200), 30.0)


@lru_cache
def sampled(specimen: Specimen) -> tuple[np.ndarray, np.ndarray]:
    """Random points (n, 3) in um, and the density (element, n) there."""
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (20_000, 3))
    return points, specimen.scene.density_at(points)


@pytest.fixture(params=["nmc-particle", "zn-mn-cathode"])
def specimen(request: pytest.FixtureRequest) -> Specimen:
    """One of those that grew."""
    return make_specimen(request.param, 7)


def test_the_whole_mass_is_in_view_at_every_angle(specimen: Specimen) -> None:
    wide = np.stack([seen(specimen, theta) for theta in (0.0, 64.0, 158.0)])
    masses = wide.sum(axis=(2, 3), dtype=np.float64)
    assert np.all(np.ptp(masses, axis=0) < 3e-4 * masses[0])
    in_4_2_um = wide[:, :, 30:-30, 30:-30].sum(axis=(2, 3), dtype=np.float64)
    assert np.allclose(in_4_2_um, masses, rtol=1e-6)


def test_density_is_nowhere_negative_and_nowhere_above_the_densest_compound(specimen: Specimen) -> None:
    _, density = sampled(specimen)
    assert density.min() > -1e-9
    assert density.sum(axis=0).max() < 4.5


def test_one_seed_gives_one_specimen(specimen: Specimen) -> None:
    again = SPECIMENS[specimen.name](specimen.seed)
    points, density = sampled(specimen)
    assert np.array_equal(again.density_at(points[:4000]), density[:, :4000])


def test_another_seed_gives_another_specimen(nmc: Specimen) -> None:
    points, density = sampled(nmc)
    other = make_specimen("nmc-particle", nmc.seed + 1).scene.density_at(points[:4000])
    assert np.mean(np.abs(other - density[:, :4000])) > 0.1 * np.mean(density)


def test_zinc_and_manganese_are_co_located_but_not_identical(cathode: Specimen) -> None:
    zinc, manganese = seen(cathode, 64.0)[:, 30:-30, 30:-30]
    assert 0.3 < np.corrcoef(zinc.ravel(), manganese.ravel())[0, 1] < 0.95


def test_some_zinc_stands_without_manganese(cathode: Specimen) -> None:
    _, (zinc, manganese) = sampled(cathode)
    assert np.mean(manganese[zinc > 0.1] < 1e-6) > 0.02


def test_nickel_falls_and_manganese_rises_towards_the_surface(nmc: Specimen) -> None:
    points, (nickel, _, manganese) = sampled(nmc)
    radius = np.linalg.norm(points, axis=1)
    inner, outer = ((nickel > 0) & (radius < 0.8)), ((nickel > 0) & (radius > 1.4))
    assert nickel[inner].mean() > 1.2 * nickel[outer].mean()
    assert manganese[outer].mean() > 2 * manganese[inner].mean()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    known = "mixed-cathode, mixed-cathode-decoy, nmc-particle, siemens-star, zn-mn-cathode"
    with pytest.raises(ValueError, match=f"choose one of {known}"):
        make_specimen("pyrite", 0)
