"""Specimens and small scenes shared by the tests of this room."""

import numpy as np
import pytest

from models.phantoms.shapes import Body, Ellipsoid, HalfSpaces, Scene, Solid, random_rotation
from models.phantoms.specimens import Specimen, make_specimen


@pytest.fixture(scope="session")
def cathode() -> Specimen:
    return make_specimen("zn-mn-cathode", 7)


@pytest.fixture(scope="session")
def nmc() -> Specimen:
    return make_specimen("nmc-particle", 7)


@pytest.fixture(scope="session")
def tilted_scene() -> Scene:
    """One tilted ellipsoid with a void in it and, beside it, a tilted box."""
    rng = np.random.default_rng(3)
    grain = Ellipsoid.from_axes((0.3, -0.2, 0.25), (0.5, 0.35, 0.3), random_rotation(rng))
    void = Ellipsoid.from_axes((0.35, -0.25, 0.3), (0.12, 0.1, 0.08), random_rotation(rng))
    centre = np.array([-0.45, 0.2, -0.3])
    box = HalfSpaces.prism(centre, random_rotation(rng), (0.3, 0.2, 0.1))
    return Scene(
        ("Zn", "Mn"),
        (
            Body(Solid((grain,)), (1.0, 2.0)),
            Body(Solid((void,)), (-1.0, -2.0)),
            Body(Solid((Ellipsoid.from_axes(centre, 0.4),), box), (3.0, 0.0)),
        ),
    )
