"""A cycled NMC secondary particle: radial primary grains, cracks between them, pores at the middle, nickel within."""

import numpy as np

from models.phantoms.grains import CrackWidths, drill_pores, tessellate
from models.phantoms.shapes import Array, Body, Ellipsoid, Scene, Solid, random_rotation

ELEMENTS = ("Ni", "Co", "Mn")
_SEMI_AXES_UM = (1.75, 1.70, 1.64)
_SHELLS_UM = (0.28, 0.70, 1.14, 1.58)
"""Radii of the seeds: wide apart along the radius and close around it, so that grains point outwards."""
_TANGENTIAL_UM = 0.31
_CRACKS = CrackWidths(5, (0.025, 0.06), 0.12, (0.015, 0.025))
_CENTRE, _SURFACE = np.array([2.45, 0.22, 0.16]), np.array([1.60, 0.42, 0.62])
"""(Ni, Co, Mn) in g/cm^3 of an oxide of 4.7 g/cm^3 with a concentration gradient: 90-05-05 inside, 60-15-25 outside."""


def nmc_particle(seed: int) -> Scene:
    """One secondary particle, 3.5 um in diameter."""
    rng = np.random.default_rng([seed, 0x283C])
    outline = Ellipsoid.from_axes(np.zeros(3), _SEMI_AXES_UM, random_rotation(rng))
    bodies: list[Body] = []
    hull = Solid((outline,))
    for grain in tessellate(outline, _seeds(rng), _CRACKS, rng):
        depth = float(outline.depth(grain.seed_um))
        if depth < 0.35 and rng.random() < 0.3:
            continue
        density = _density(depth, rng)
        bodies += grain.filling(hull, tuple(density.tolist()))
        n_pores = rng.poisson(1.6 * (1.0 - depth) + 0.2)
        for pore in drill_pores(grain, hull, rng.uniform(0.015, 0.06, n_pores), rng):
            bodies.append(Body(pore, tuple((-density).tolist())))
    return Scene(ELEMENTS, tuple(bodies))


def _density(depth: float, rng: np.random.Generator) -> Array:
    """The gradient, with the scatter of grains about it."""
    gradient = _CENTRE + (_SURFACE - _CENTRE) * np.clip(depth, 0.0, 1.0) ** 2
    scattered: Array = gradient * rng.uniform(0.9, 1.08) * rng.lognormal(0.0, (0.04, 0.25, 0.12))
    return scattered


def _seeds(rng: np.random.Generator) -> Array:
    """Fibonacci lattices on concentric spheres, shaken."""
    shells = []
    for radius in _SHELLS_UM:
        n = max(4, round(4 * np.pi * radius**2 / _TANGENTIAL_UM**2))
        height = 1 - (2 * np.arange(n) + 1) / n
        turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
        across = np.sqrt(1 - height**2)
        lattice = (
            radius * np.stack([across * np.cos(turn), height, across * np.sin(turn)], axis=1) @ random_rotation(rng).T
        )
        shells.append(lattice + rng.normal(0.0, 0.05, lattice.shape))
    return np.concatenate(shells)
