"""Convex bodies of constant density: what every specimen is made of.

A body is the intersection of ellipsoids and half-spaces, so a straight ray meets it in at most one interval, known in
closed form. Points are (x, y, z) in um; the rotation axis is x = z = 0 and z runs along the beam at 0 degrees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def random_rotation(rng: np.random.Generator) -> Array:
    """A rotation matrix, uniform over all orientations (a normalised Gaussian quaternion)."""
    matrix: Array = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return matrix


def random_directions(n: int, rng: np.random.Generator) -> Array:
    """Unit vectors, uniform over the sphere, (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    directions: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """The unit ball pulled into shape: all centre + axes @ v with |v| <= 1.

    Attributes:
        centre_um: (3,) middle.
        axes_um: (3, 3), the semi-axes as columns.
    """

    centre_um: Array
    axes_um: Array

    @classmethod
    def from_axes(cls, centre_um: ArrayLike, semi_axes_um: ArrayLike, rotation: Array | None = None) -> "Ellipsoid":
        """The ellipsoid with semi-axes of these lengths along the columns of ``rotation`` (default: along x, y, z).

        Raises:
            ValueError: a semi-axis is not positive.
        """
        semi_axes = np.full(3, semi_axes_um, dtype=np.float64)
        if not np.all(semi_axes > 0):
            raise ValueError(f"semi_axes_um is {semi_axes}: pass three positive lengths")
        return cls(np.asarray(centre_um, dtype=np.float64), (np.eye(3) if rotation is None else rotation) * semi_axes)

    @cached_property
    def semi_axes_um(self) -> Array:
        """(3,) lengths of the semi-axes."""
        lengths: Array = np.linalg.norm(self.axes_um, axis=0)
        return lengths

    def reach_um(self, directions: Array) -> Array:
        """Distance from the centre to the tangent plane across each unit vector; directions (..., 3) -> (...)."""
        reach: Array = np.linalg.norm(directions @ self.axes_um, axis=-1)
        return reach

    def depth(self, points_um: Array) -> Array:
        """0 at the centre, 1 on the surface, in proportion between; points (..., 3) -> (...)."""
        depth: Array = np.linalg.norm((points_um - self.centre_um) @ self._to_unit_ball.T, axis=-1)
        return depth

    def moved_to(self, centre_um: Array) -> "Ellipsoid":
        """The same shape elsewhere."""
        return Ellipsoid(centre_um, self.axes_um)

    def scaled(self, factor: float) -> "Ellipsoid":
        """The same shape about the same centre, ``factor`` times as large."""
        return Ellipsoid(self.centre_um, self.axes_um * factor)

    def points_inside(self, n: int, rng: np.random.Generator) -> Array:
        """Points spread evenly through it, (n, 3)."""
        radii: Array = np.cbrt(rng.random((n, 1)))
        return self.centre_um + (radii * random_directions(n, rng)) @ self.axes_um.T

    @cached_property
    def _to_unit_ball(self) -> Array:
        inverse: Array = np.linalg.inv(self.axes_um).astype(np.float64)
        return inverse


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """All p with normals @ p <= offsets_um, of m planes at once; everywhere if there are none.

    Attributes:
        normals: (m, 3) unit vectors that point outwards.
        offsets_um: (m,) signed distances of the planes from the origin.
    """

    normals: Array = field(default_factory=lambda: np.zeros((0, 3)))
    offsets_um: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def prism(cls, centre_um: Array, normals: Array, half_widths_um: Sequence[float]) -> "HalfSpaces":
        """Opposite planes at +- half a width along each normal: three orthogonal pairs make a box."""
        middle, half = normals @ centre_um, np.asarray(half_widths_um, dtype=np.float64)
        return cls(np.concatenate([normals, -normals]), np.concatenate([middle + half, half - middle]))

    def clearance_um(self, points_um: Array) -> Array:
        """Distance to the nearest plane, positive inside; points (..., 3) -> (...)."""
        distance: Array = np.min(self.offsets_um - points_um @ self.normals.T, axis=-1, initial=np.inf)
        return distance

    def drawn_in(self, by_um: float) -> "HalfSpaces":
        """Every plane moved inwards."""
        return HalfSpaces(self.normals, self.offsets_um - by_um)

    def joined(self, other: "HalfSpaces") -> "HalfSpaces":
        """The planes of both."""
        return HalfSpaces(
            np.concatenate([self.normals, other.normals]), np.concatenate([self.offsets_um, other.offsets_um])
        )

    def near_sphere(self, centre_um: Array, radius_um: float) -> "HalfSpaces":
        """Only the planes that cut the sphere or lie before it."""
        near = self.offsets_um - self.normals @ centre_um < radius_um
        return HalfSpaces(self.normals[near], self.offsets_um[near])


@dataclass(frozen=True, eq=False)
class Solid:
    """A bounded convex shape.

    Attributes:
        ellipsoids: at least one, so that it is bounded.
        half_spaces: planes that cut it.
    """

    ellipsoids: tuple[Ellipsoid, ...]
    half_spaces: HalfSpaces = field(default_factory=HalfSpaces)

    def __post_init__(self) -> None:
        if not self.ellipsoids:
            raise ValueError("a solid without an ellipsoid has no bounds: pass at least one")

    def contains(self, points_um: Array) -> NDArray[np.bool_]:
        """Whether each point is inside; points (..., 3) -> (...)."""
        inside = self.half_spaces.clearance_um(points_um) >= 0
        for ellipsoid in self.ellipsoids:
            inside &= ellipsoid.depth(points_um) <= 1.0
        return inside

    def room_um(self, points_um: Array) -> Array:
        """Radius of a ball about each point that surely fits inside, negative outside; points (..., 3) -> (...)."""
        room = self.half_spaces.clearance_um(points_um)
        for ellipsoid in self.ellipsoids:
            room = np.minimum(room, (1.0 - ellipsoid.depth(points_um)) * ellipsoid.semi_axes_um.min())
        return room

    def holds_sphere(self, centre_um: Array, radius_um: float) -> bool:
        """True only where the whole sphere is surely inside."""
        return bool(self.room_um(centre_um) >= radius_um)

    def misses_sphere(self, centre_um: Array, radius_um: float) -> bool:
        """True only where the whole sphere is surely outside."""
        return bool(self.half_spaces.clearance_um(centre_um) <= -radius_um) or any(
            ellipsoid.depth(centre_um) - radius_um / ellipsoid.semi_axes_um.min() >= 1.0
            for ellipsoid in self.ellipsoids
        )


@dataclass(frozen=True, eq=False)
class Body:
    """A solid that adds its density to the scene; a negative density carves a void out of another body.

    Attributes:
        solid: the shape.
        density_g_cm3: (element,) of what is added.
    """

    solid: Solid
    density_g_cm3: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """Bodies whose densities add up.

    Attributes:
        elements: names in the order of each body's densities.
        bodies: one or more.
    """

    elements: tuple[str, ...]
    bodies: tuple[Body, ...]

    def __post_init__(self) -> None:
        if not self.bodies:
            raise ValueError("a scene needs at least one body")
        for body in self.bodies:
            if len(body.density_g_cm3) != len(self.elements):
                raise ValueError(
                    f"a body has {len(body.density_g_cm3)} densities for {len(self.elements)} elements: pass one each"
                )

    def bounds_um(self, directions: Array) -> tuple[Array, Array]:
        """Lowest and highest coordinate of each body along each unit vector; directions (n, 3) -> (body, n) twice.

        Exact for one ellipsoid and one half-space, and never too narrow for more: in the frame of the unit ball, a
        plane at distance d, whose normal makes an angle of cosine c with the vector, leaves points up to
        c d + sqrt((1 - c^2)(1 - d^2)) if d < c, and up to 1 otherwise.
        """
        towards = directions @ self.ellipsoids.axes_um
        reaches = np.linalg.norm(towards, axis=-1)
        cut, normals, distances = self._cuts
        cosines = np.einsum("cnj,cj->cn", (towards / reaches[:, :, np.newaxis])[cut], normals)
        rims = np.sqrt(np.maximum(1.0 - cosines**2, 0.0) * (1.0 - distances**2))
        tops, bottoms = np.ones_like(reaches), np.ones_like(reaches)
        np.minimum.at(tops, cut, np.where(distances < cosines, cosines * distances + rims, 1.0))
        np.minimum.at(bottoms, cut, np.where(distances < -cosines, rims - cosines * distances, 1.0))
        middles = self.ellipsoids.centres_um @ directions.T
        lowest = np.maximum.reduceat(middles - reaches * bottoms, self.ellipsoids.starts)
        return lowest, np.minimum.reduceat(middles + reaches * tops, self.ellipsoids.starts)

    def density_at(self, points_um: Array) -> Array:
        """Density of each element at each point, in g/cm^3; points (n, 3) -> (element, n)."""
        density = np.zeros((len(self.elements), len(points_um)))
        order = np.argsort(points_um[:, 0])
        lows, highs = self.bounds_um(np.eye(3))
        starts, stops = np.searchsorted(points_um[order, 0], np.stack([lows[:, 0], highs[:, 0]]))
        for body, low, high, start, stop in zip(self.bodies, lows, highs, starts, stops, strict=True):
            near = order[start:stop]
            near = near[np.all((points_um[near] >= low) & (points_um[near] <= high), axis=1)]
            if not len(near):
                continue
            inside = near[body.solid.contains(points_um[near])]
            density[:, inside] += np.asarray(body.density_g_cm3)[:, np.newaxis]
        return density

    @cached_property
    def ellipsoids(self) -> "StackedEllipsoids":
        """Those of all bodies."""
        stack = [ellipsoid for body in self.bodies for ellipsoid in body.solid.ellipsoids]
        bodies, starts = _owners([len(body.solid.ellipsoids) for body in self.bodies])
        return StackedEllipsoids(
            np.array([e.centre_um for e in stack]), np.array([e.axes_um for e in stack]), bodies, starts
        )

    @cached_property
    def planes(self) -> "StackedPlanes":
        """Those of all bodies."""
        stack = [body.solid.half_spaces for body in self.bodies]
        bodies, starts = _owners([len(planes.offsets_um) for planes in stack])
        normals, offsets = (
            np.concatenate(part) for part in zip(*((p.normals, p.offsets_um) for p in stack), strict=True)
        )
        return StackedPlanes(normals, offsets, bodies, starts)

    @cached_property
    def _cuts(self) -> tuple[Indices, Array, Array]:
        """Each plane in the unit ball of each ellipsoid it cuts: ellipsoids (c,), normals (c, 3), distances (c, 1)."""
        by_body = np.split(np.arange(len(self.planes.offsets_um)), self.planes.starts[1:])
        planes = [by_body[body] for body in self.ellipsoids.bodies]
        cut, _ = _owners([len(cutting) for cutting in planes])
        plane = np.concatenate(planes)
        normals = np.einsum("cj,cjk->ck", self.planes.normals[plane], self.ellipsoids.axes_um[cut])
        clearance = np.sum(self.planes.normals[plane] * self.ellipsoids.centres_um[cut], axis=1)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        distances = (self.planes.offsets_um[plane] - clearance)[:, np.newaxis] / lengths
        return cut, normals / lengths, np.clip(distances, -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class StackedEllipsoids:
    """The ellipsoids of all bodies in one: centres (e, 3), axes (e, 3, 3), the body of each, each body's first one."""

    centres_um: Array
    axes_um: Array
    bodies: Indices
    starts: Indices


@dataclass(frozen=True, eq=False)
class StackedPlanes:
    """The planes of all bodies in one: normals (p, 3), offsets (p,), the body of each, each body's first one."""

    normals: Array
    offsets_um: Array
    bodies: Indices
    starts: Indices


def _owners(counts: list[int]) -> tuple[Indices, Indices]:
    """Of items stacked by owner: the owner of each, and where each owner's items start."""
    return np.repeat(np.arange(len(counts), dtype=np.intp), counts), np.cumsum([0, *counts[:-1]], dtype=np.intp)
