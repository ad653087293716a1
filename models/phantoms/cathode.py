"""A cycled Zn/MnO2 battery cathode: cracked oxides, zinc-rich shells, zinc-only flakes, precipitates and pores.

Densities are those of the compounds (MnO2 5.0, ZnMn2O4 5.2, ZnO 5.6, zinc hydroxide sulfate 2.8 g/cm^3) times the
metal's mass share, less the porosity of electrodeposited grains. The empty space between particles is carbon, binder
and electrolyte: no Zn, no Mn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.phantoms.grains import CrackWidths, drill_pores, tessellate
from models.phantoms.packing import Cylinder
from models.phantoms.shapes import Array, Body, Ellipsoid, HalfSpaces, Scene, Solid, random_directions, random_rotation

ELEMENTS = ("Zn", "Mn")
RADIUS_UM, HALF_HEIGHT_UM = 1.94, 2.0
"""A scan of 4.2 x 4.2 um holds it at every angle, with room for the probe's tails."""

_Density = tuple[float, float]
"""(Zn, Mn) in g/cm^3."""


@dataclass(frozen=True)
class _Kind:
    """One family of particles."""

    share: float
    core: _Density
    shell: _Density
    shell_um: tuple[float, float]
    grain_um: float
    cracks: CrackWidths
    voids_per_grain: float


_KINDS = (
    _Kind(0.45, (0.20, 2.9), (1.40, 2.35), (0.04, 0.09), 0.26, CrackWidths(3, (0.03, 0.06), 0.20, (0.015, 0.03)), 1.8),
    _Kind(
        0.30, (1.15, 2.2), (1.40, 2.35), (0.02, 0.04), 0.22, CrackWidths(1, (0.025, 0.05), 0.08, (0.015, 0.025)), 5.0
    ),
    _Kind(
        0.25, (0.06, 3.1), (0.85, 1.60), (0.02, 0.05), 0.32, CrackWidths(1, (0.025, 0.05), 0.05, (0.015, 0.025)), 2.5
    ),
)
"""Spent MnO2 with spinel shells; particles turned to ZnMn2O4 throughout; MnO2 that hardly took part."""

_LARGE_RADII_UM = (0.75, 0.66, 0.60, 0.57, 0.52, 0.50, 0.48, 0.47)
_SMALL_RADII_UM = (*[0.42] * 9, *[0.35] * 14, *[0.28] * 20, *[0.22] * 30, *[0.17] * 45)
"""Longest semi-axes; the large particles take their places before the flakes do, the small ones after."""
_FLAKE_STACKS_UM = (0.60, 0.52, 0.45, 0.40, 0.36, 0.32, 0.30, 0.28)
_FILLED_SHARE = 0.3
"""Of the pores, refilled with what the shell is made of."""
_N_PRECIPITATES = 380
_FLAKE: _Density = (1.38, 0.0)
_PRECIPITATES: tuple[_Density, ...] = ((3.4, 0.0), (0.05, 2.9), (1.3, 2.2))
"""ZnO, Mn2O3, ZnMn2O4."""


def zn_mn_cathode(seed: int) -> Scene:
    """A cathode in a cylinder 3.9 um wide and 4.0 um high."""
    rng = np.random.default_rng([seed, 0x2A17])
    cylinder = Cylinder(RADIUS_UM, HALF_HEIGHT_UM)
    bodies: list[Body] = []
    for radius in _LARGE_RADII_UM:
        bodies += _particle(radius, cylinder, rng)
    for radius in _FLAKE_STACKS_UM:
        bodies += _flakes(radius, cylinder, rng)
    for radius in _SMALL_RADII_UM:
        bodies += _particle(radius, cylinder, rng)
    precipitate_radii = np.clip(rng.lognormal(np.log(0.045), 0.45, _N_PRECIPITATES), 0.018, 0.12)
    for radius in np.sort(precipitate_radii)[::-1].tolist():
        bodies += _precipitate(radius, cylinder, rng)
    return Scene(ELEMENTS, tuple(bodies))


def _particle(radius_um: float, cylinder: Cylinder, rng: np.random.Generator) -> Iterator[Body]:
    """Grains of a core and of the shell around it, and pores in the core."""
    semi_axes = radius_um * np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.65, 0.95)])
    outline = cylinder.place(Ellipsoid.from_axes(np.zeros(3), semi_axes, random_rotation(rng)), rng)
    if outline is None:
        return
    kind = _KINDS[rng.choice(len(_KINDS), p=[kind.share for kind in _KINDS])]
    shell_um = min(rng.uniform(*kind.shell_um), 0.3 * radius_um)
    facets = _facets(outline, rng)
    hull = Solid((outline,), facets)
    core_hull = Solid((outline.scaled(1.0 - shell_um / radius_um),), facets.drawn_in(shell_um))
    # 4/3 pi abc filled with rounded cells of about the kind's grain size.
    n_grains = max(1, round(4.0 * float(np.prod(semi_axes)) / kind.grain_um**3))
    for grain in tessellate(outline, outline.points_inside(n_grains, rng), kind.cracks, rng):
        core = _core_density(kind, float(outline.depth(grain.seed_um)), rng)
        yield from grain.coated(hull, core_hull, core, kind.shell)
        radii = np.clip(rng.lognormal(np.log(0.035), 0.45, rng.poisson(kind.voids_per_grain)), 0.015, 0.075)
        for void in drill_pores(grain, core_hull, radii, rng):
            content = kind.shell if rng.random() < _FILLED_SHARE else (0.0, 0.0)
            yield Body(void, (content[0] - core[0], content[1] - core[1]))


def _facets(outline: Ellipsoid, rng: np.random.Generator) -> HalfSpaces:
    """Flat faces that cut the outline a little."""
    normals = random_directions(int(rng.integers(7, 14)), rng)
    return HalfSpaces(
        normals, normals @ outline.centre_um + outline.reach_um(normals) * rng.uniform(0.72, 0.98, len(normals))
    )


def _core_density(kind: _Kind, depth: float, rng: np.random.Generator) -> _Density:
    """Zinc enters from outside and differs from grain to grain; manganese thins out a little where it did."""
    zinc = kind.core[0] * min((0.5 + depth**2) * rng.lognormal(0.0, 0.3), 2.0)
    manganese = kind.core[1] * rng.uniform(0.86, 1.06) - 0.3 * min(zinc, 1.5)
    return float(zinc), float(manganese)


def _flakes(radius_um: float, cylinder: Cylinder, rng: np.random.Generator) -> Iterator[Body]:
    """A book of parallel hexagonal plates of zinc hydroxide sulfate."""
    rotation = random_rotation(rng)
    thicknesses = rng.uniform(0.025, 0.07, int(rng.integers(2, 6)))
    gaps = rng.uniform(0.03, 0.11, len(thicknesses))
    middles = np.cumsum(thicknesses + gaps) - thicknesses / 2
    middles -= middles.mean()
    hull = cylinder.place(Ellipsoid.from_axes(np.zeros(3), (radius_um, radius_um, 1.6 * middles[-1]), rotation), rng)
    if hull is None:
        return
    for middle, thickness in zip(middles, thicknesses, strict=True):
        slip = rotation @ np.array([*rng.uniform(-0.12, 0.12, 2) * radius_um, middle])
        width = radius_um * rng.uniform(0.6, 0.85)
        yield Body(Solid((hull,), _hexagon(hull.centre_um + slip, rotation, width, thickness)), _FLAKE)


def _hexagon(centre_um: Array, rotation: Array, width_um: float, thickness_um: float) -> HalfSpaces:
    turns = np.deg2rad([0.0, 60.0, 120.0])
    sides = np.stack([np.cos(turns), np.sin(turns), np.zeros(3)], axis=1)
    normals = np.concatenate([sides, [[0.0, 0.0, 1.0]]]) @ rotation.T
    return HalfSpaces.prism(centre_um, normals, (width_um, width_um, width_um, thickness_um / 2))


def _precipitate(radius_um: float, cylinder: Cylinder, rng: np.random.Generator) -> Iterator[Body]:
    """A nano-particle in what room is left."""
    semi_axes = radius_um * rng.uniform(0.55, 1.0, 3)
    shape = cylinder.place(Ellipsoid.from_axes(np.zeros(3), semi_axes, random_rotation(rng)), rng)
    if shape is not None:
        yield Body(Solid((shape,)), _PRECIPITATES[rng.choice(len(_PRECIPITATES), p=[0.3, 0.45, 0.25])])
