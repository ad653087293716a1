"""The mixed cathode: stoichiometry of three materials, what the beam makes of them, and a decoy."""

import numpy as np
import pytest

from models.phantoms.mixed_cathode import FIELD_UM, MATERIALS
from models.phantoms.specimens import Specimen, make_specimen
from models.physics.absorption import optical_depth
from models.physics.xray import is_seen


@pytest.fixture(scope="module")
def mixture() -> Specimen:
    return make_specimen("mixed-cathode", 3)


@pytest.fixture(scope="module")
def seen(mixture: Specimen) -> np.ndarray:
    """The field in pixels of 100 nm, (element, y, x)."""
    return mixture.areal_density_ug_cm2(0.0, (80, 80), 100.0)


def test_every_pixel_is_a_mixture_of_the_three_materials(mixture: Specimen, seen: np.ndarray) -> None:
    pure = np.array([material.densities_g_cm3(mixture.elements) for material in MATERIALS.values()])
    amounts = seen.reshape(4, -1).T.astype(np.float64) @ np.linalg.pinv(pure)
    assert amounts.min() > -1e-3 * amounts.max()
    np.testing.assert_allclose(amounts @ pure, seen.reshape(4, -1).T, atol=1e-4 * seen.max())
    assert np.all((amounts > 0.02 * amounts.max()).mean(axis=0) > 0.03)


@pytest.mark.parametrize(
    ("name", "metal", "share"),
    # Atomic weights by hand: Co 58.93 / 97.87, Mn 0.2 * 54.94 / 96.93, Ni 58.69 / 97.63.
    [("LCO", "Co", 0.6021), ("NMC", "Mn", 0.1134), ("LNO", "Ni", 0.6011)],
)
def test_mass_shares_are_those_of_the_formulas(name: str, metal: str, share: float) -> None:
    material = MATERIALS[name]
    assert material.densities_g_cm3((metal,))[0] / material.density_g_cm3 == pytest.approx(share, rel=1e-3)


def test_density_is_nowhere_negative_and_nowhere_above_a_crystals(mixture: Specimen) -> None:
    points = np.random.default_rng(0).uniform(-FIELD_UM / 2, FIELD_UM / 2, (20_000, 3)) * [1.0, 1.0, 0.3]
    density = mixture.scene.density_at(points)
    assert density.min() > -1e-9
    assert density.sum(axis=0).max() < max(material.density_g_cm3 for material in MATERIALS.values()) * 1.05


def test_particles_take_a_measurable_share_of_the_beam_and_none_takes_most(seen: np.ndarray, mixture: Specimen) -> None:
    depth = optical_depth(seen, mixture.elements, 9.0)
    assert 0.1 < depth.max() < 0.4
    assert 0.3 < np.mean(depth > 0.01 * depth.max()) < 0.7


def test_the_decoy_takes_of_the_beam_what_no_detector_sees(mixture: Specimen, seen: np.ndarray) -> None:
    decoyed = make_specimen("mixed-cathode-decoy", 3)
    image = decoyed.areal_density_ug_cm2(0.0, (80, 80), 100.0)
    np.testing.assert_allclose(image[:4], seen, atol=1e-4)
    alone = optical_depth(image, decoyed.elements, 9.0) - optical_depth(seen, mixture.elements, 9.0)
    assert alone.max() > 0.5 * optical_depth(seen, mixture.elements, 9.0).max()
    assert [is_seen(element, 9.0) for element in decoyed.elements] == [True, True, True, False, False]
