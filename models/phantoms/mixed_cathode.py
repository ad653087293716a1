"""Particles of three cathode materials side by side on a window, as a full-field microscope sees them.

LiCoO2 (LCO) as single crystals with facets, LiNi0.7Mn0.2Co0.1O2 (NMC) and LiNiO2 (LNO) as round aggregates of grains,
NMC with cracks. At 9 keV the thickest take a sixth of the beam. Lithium absorbs nothing to speak of and is left out.

Source: Li et al., PNAS 120 (2023) e2314542120 (the mixture).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.phantoms.grains import CrackWidths, tessellate
from models.phantoms.shapes import Array, Body, Ellipsoid, HalfSpaces, Scene, Solid, random_directions, random_rotation
from models.xrf.compounds import mass_shares

ELEMENTS = ("Mn", "Co", "Ni", "O")
DECOY = "Al"
"""Its line, of 1.5 keV, gets through neither air nor the detector's window."""
FIELD_UM = 8.0
"""Side of the square that particles are strewn over."""


@dataclass(frozen=True)
class Material:
    """One cathode material.

    Attributes:
        formula: as xraylib parses it.
        density_g_cm3: of the crystal, less the pores between grains.
        radii_um: (least, largest) of its particles.
        grain_um: size of its grains; None: single crystals.
        cracks: between grains.
    """

    formula: str
    density_g_cm3: float
    radii_um: tuple[float, float]
    grain_um: float | None
    cracks: CrackWidths

    def densities_g_cm3(self, elements: tuple[str, ...]) -> Array:
        """(element,), 0 of those that it does not hold."""
        return self.density_g_cm3 * mass_shares(self.formula, elements)


_CLOSED = CrackWidths(0, (0.0, 0.0), 0.0, (0.01, 0.01))
MATERIALS = {
    "LCO": Material("LiCoO2", 5.0, (0.3, 0.8), None, _CLOSED),
    "NMC": Material("LiNi0.7Mn0.2Co0.1O2", 4.6, (0.5, 1.3), 0.4, CrackWidths(2, (0.06, 0.14), 0.0, (0.03, 0.04))),
    "LNO": Material("LiNiO2", 4.6, (0.5, 1.3), 0.5, _CLOSED),
}

_COVERED = 0.55
"""Share of the field that the particles' outlines cover."""
_TRIALS = 3000
_FRAGMENTS, _FRAGMENT_RADII_UM, _FRAGMENT_DEPTH_UM = 10, (0.15, 0.3), 2.0
"""Splinters of LCO lie behind the other particles, so that materials overlap in the image and nowhere else."""
_GRAIN_SCATTER = (0.9, 1.05)
"""Of density from grain to grain."""
_FOIL_G_CM3, _FOIL_HALF_UM, _FOIL_RADII_UM, _N_FOILS = 2.7, 7.0, (0.5, 0.8), 3
"""Scraps of a current collector, which takes about as much of the beam as a particle where it is 14 um thick."""


def mixed_cathode(seed: int) -> Scene:
    """Particles strewn over 8 x 8 um, across the beam at 0 degrees."""
    return Scene(ELEMENTS, tuple(_particles(np.random.default_rng([seed, 0x3C47]), ELEMENTS)))


def mixed_cathode_with_decoy(seed: int) -> Scene:
    """The same particles, and scraps of aluminium foil that the microscope sees and the detector does not."""
    elements = (*ELEMENTS, DECOY)
    particles = _particles(np.random.default_rng([seed, 0x3C47]), elements)
    return Scene(elements, (*particles, *_foils(np.random.default_rng([seed, 0xDEC0]), elements)))


def _particles(rng: np.random.Generator, elements: tuple[str, ...]) -> Iterator[Body]:
    names, places, covered = list(MATERIALS), np.zeros((0, 3)), 0.0
    for _ in range(_TRIALS):
        if covered >= _COVERED:
            break
        name = names[len(places) % len(names)]
        radius = float(rng.uniform(*MATERIALS[name].radii_um))
        x, y = rng.uniform(-FIELD_UM / 2, FIELD_UM / 2, 2)
        if np.any(np.hypot(places[:, 0] - x, places[:, 1] - y) < places[:, 2] + radius):
            continue
        places = np.vstack([places, [x, y, radius]])
        covered += np.pi * radius**2 / FIELD_UM**2
        yield from _particle(name, np.array([x, y, 0.0]), radius, elements, rng)
    for _ in range(_FRAGMENTS):
        spot = np.array([*rng.uniform(-FIELD_UM / 2, FIELD_UM / 2, 2), _FRAGMENT_DEPTH_UM])
        yield from _particle("LCO", spot, float(rng.uniform(*_FRAGMENT_RADII_UM)), elements, rng)


def _particle(
    name: str, centre_um: Array, radius_um: float, elements: tuple[str, ...], rng: np.random.Generator
) -> Iterator[Body]:
    material = MATERIALS[name]
    density = material.densities_g_cm3(elements)
    semi_axes = radius_um * np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.7, 1.0)])
    outline = Ellipsoid.from_axes(centre_um, semi_axes, random_rotation(rng))
    if material.grain_um is None:
        yield Body(Solid((outline,), _facets(outline, rng)), tuple(density.tolist()))
        return
    n_grains = max(2, round(4.0 * float(np.prod(semi_axes)) / material.grain_um**3))
    hull = Solid((outline,))
    for grain in tessellate(outline, outline.points_inside(n_grains, rng), material.cracks, rng):
        yield from grain.filling(hull, tuple((density * rng.uniform(*_GRAIN_SCATTER)).tolist()))


def _facets(outline: Ellipsoid, rng: np.random.Generator) -> HalfSpaces:
    normals = random_directions(int(rng.integers(8, 14)), rng)
    reach = outline.reach_um(normals) * rng.uniform(0.65, 0.95, len(normals))
    return HalfSpaces(normals, normals @ outline.centre_um + reach)


def _foils(rng: np.random.Generator, elements: tuple[str, ...]) -> Iterator[Body]:
    density = tuple(_FOIL_G_CM3 if element == DECOY else 0.0 for element in elements)
    beam = np.array([0.0, 0.0, 1.0])
    for _ in range(_N_FOILS):
        centre = np.array([*rng.uniform(-0.35, 0.35, 2) * FIELD_UM, 0.0])
        radius = float(rng.uniform(*_FOIL_RADII_UM))
        # An ellipsoid so long that within the foil's thickness its sides are upright.
        column = Ellipsoid.from_axes(centre, (radius, radius, 8 * _FOIL_HALF_UM))
        faces = HalfSpaces(np.array([beam, -beam]), np.full(2, _FOIL_HALF_UM))
        yield Body(Solid((column,), faces), density)
