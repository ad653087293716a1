"""Particles as aggregates of grains: Voronoi cells, cracks where cells are drawn apart, pores inside cells.

Cells of one tessellation never overlap and a pore never leaves its cell, so no density can become negative.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from models.phantoms.shapes import Array, Body, Ellipsoid, HalfSpaces, Solid, random_directions

_LEAST_POINTS, _POINTS_PER_GRAIN = 400, 60
_ROUNDING = 1.02
"""A grain's ball just holds the sampled points of its cell: it bounds the cell and rounds its sharpest corners."""
_TRIALS_PER_PORE = 12


@dataclass(frozen=True, eq=False)
class Grain:
    """One convex cell.

    Attributes:
        seed_um: (3,) middle of the ball that bounds the cell.
        radius_um: of that ball.
        faces: towards its neighbours, drawn in by half of each crack.
    """

    seed_um: Array
    radius_um: float
    faces: HalfSpaces

    @property
    def solid(self) -> Solid:
        """The whole cell."""
        return Solid((self._ball,), self.faces)

    def filling(self, hull: Solid, density_g_cm3: tuple[float, ...]) -> Iterator[Body]:
        """The part of the grain inside a hull: one body, or none where it is surely outside."""
        if hull.misses_sphere(self.seed_um, self.radius_um):
            return
        cutting = tuple(e for e in hull.ellipsoids if not Solid((e,)).holds_sphere(self.seed_um, self.radius_um))
        planes = self.faces.joined(hull.half_spaces.near_sphere(self.seed_um, self.radius_um))
        yield Body(Solid((self._ball, *cutting), planes), density_g_cm3)

    def coated(self, hull: Solid, core: Solid, inside: tuple[float, ...], outside: tuple[float, ...]) -> Iterator[Body]:
        """The part of the grain inside a hull, of one density in the core and of another between core and hull."""
        if core.holds_sphere(self.seed_um, self.radius_um):
            yield from self.filling(core, inside)
        else:
            yield from self.filling(hull, outside)
            yield from self.filling(core, tuple(a - b for a, b in zip(inside, outside, strict=True)))

    @cached_property
    def _ball(self) -> Ellipsoid:
        return Ellipsoid.from_axes(self.seed_um, self.radius_um)


@dataclass(frozen=True)
class CrackWidths:
    """How far neighbouring grains stand apart.

    Attributes:
        fissures: zig-zag cracks, each along the grain boundaries nearest to a random plane through the particle.
        fissure_um: (least, largest) width of those.
        open_share: share of all other boundaries that are open too.
        open_um: (least, largest) width of those; the rest is closed.
    """

    fissures: int
    fissure_um: tuple[float, float]
    open_share: float
    open_um: tuple[float, float]

    def draw(self, one_um: Array, other_um: Array, outline: Ellipsoid, rng: np.random.Generator) -> Array:
        """A width for each pair of neighbouring seeds; (n, 3) and (n, 3) -> (n,)."""
        widths = np.where(rng.random(len(one_um)) < self.open_share, rng.uniform(*self.open_um, len(one_um)), 0.0)
        for normal, towards in zip(
            random_directions(self.fissures, rng), random_directions(self.fissures, rng), strict=True
        ):
            level = normal @ outline.centre_um + rng.uniform(-0.4, 0.4) * outline.reach_um(normal)
            split = (one_um @ normal - level) * (other_um @ normal - level) < 0
            # A fissure opens at the surface and tapers to nothing before it reaches the other side.
            progress = ((one_um + other_um) / 2 - outline.centre_um) @ towards / outline.reach_um(towards)
            widths = np.maximum(widths, split * np.clip(0.5 + progress, 0.0, 1.0) * rng.uniform(*self.fissure_um))
        return np.where(widths >= self.open_um[0], widths, 0.0)


def tessellate(outline: Ellipsoid, seeds_um: Array, cracks: CrackWidths, rng: np.random.Generator) -> tuple[Grain, ...]:
    """The Voronoi cells of seeds inside an outline.

    Args:
        outline: around the particle.
        seeds_um: (n, 3), one per grain, no two the same.
        cracks: gaps between neighbours.
        rng: for the widths of cracks and the sampling of the grains' sizes.
    """
    pairs = _neighbours(seeds_um)
    gaps_um = cracks.draw(seeds_um[pairs[:, 0]], seeds_um[pairs[:, 1]], outline, rng)
    grains = []
    for index, radius in enumerate(_cell_radii(outline, seeds_um, rng).tolist()):
        faces = _faces(index, seeds_um, pairs, gaps_um).near_sphere(seeds_um[index], radius)
        grains.append(Grain(seeds_um[index], radius, faces))
    return tuple(grains)


def drill_pores(grain: Grain, hull: Solid, radii_um: Array, rng: np.random.Generator) -> list[Solid]:
    """Voids inside a grain and a hull, clear of surfaces and of each other; a radius without room is left out."""
    pores: list[Ellipsoid] = []
    cell = Solid((*grain.solid.ellipsoids, *hull.ellipsoids), grain.faces.joined(hull.half_spaces))
    for radius in np.sort(radii_um)[::-1].tolist():
        spots = grain.seed_um + rng.uniform(-1, 1, size=(_TRIALS_PER_PORE, 3)) * grain.radius_um
        free = cell.room_um(spots) >= radius
        for pore in pores:
            free &= np.linalg.norm(spots - pore.centre_um, axis=1) >= radius + pore.semi_axes_um.max()
        if free.any():
            spot = spots[np.argmax(free)]
            pores.append(Ellipsoid.from_axes(spot, radius * np.array([1.0, *rng.uniform(0.6, 1.0, 2)])))
    return [Solid((pore,)) for pore in pores]


def _neighbours(seeds_um: Array) -> NDArray[np.intp]:
    """(pair, 2) indices of cells that share a face: the edges of the Delaunay triangulation."""
    enough_for_qhull = 6
    if len(seeds_um) < enough_for_qhull:
        return np.array(list(combinations(range(len(seeds_um)), 2)), dtype=np.intp).reshape(-1, 2)
    simplices = np.sort(Delaunay(seeds_um).simplices, axis=1)
    edges = np.concatenate([simplices[:, list(corners)] for corners in combinations(range(4), 2)])
    pairs: NDArray[np.intp] = np.unique(edges, axis=0).astype(np.intp)
    return pairs


def _faces(index: int, seeds_um: Array, pairs: NDArray[np.intp], gaps_um: Array) -> HalfSpaces:
    mine = np.flatnonzero(np.any(pairs == index, axis=1))
    others = pairs[mine].sum(axis=1) - index
    towards = seeds_um[others] - seeds_um[index]
    normals = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    middles = (seeds_um[others] + seeds_um[index]) / 2
    return HalfSpaces(normals, np.einsum("ij,ij->i", normals, middles) - gaps_um[mine] / 2)


def _cell_radii(outline: Ellipsoid, seeds_um: Array, rng: np.random.Generator) -> Array:
    """Largest distance from each seed to the sampled points of its cell."""
    points = outline.points_inside(_LEAST_POINTS + _POINTS_PER_GRAIN * len(seeds_um), rng)
    distance, nearest = cKDTree(seeds_um).query(points)
    radii = np.full(len(seeds_um), float(np.min(distance)))
    np.maximum.at(radii, nearest, distance)
    return _ROUNDING * radii
