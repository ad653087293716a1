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
        semi_axes = np.broadcast_to(np.asarray(semi_axes_um, dtype=np.float64), (3,))
        if not np.all(semi_axes > 0):
            raise ValueError(f"semi_axes_um is {semi_axes}: pass three positive lengths")
        return cls(np.asarray(centre_um, dtype=np.float64), (np.eye(3) if rotation is None else rotation) * semi_axes)

    @cached_property
    def form(self) -> Array:
        """(3, 3) in 1/um^2, such that (p - centre)^T form (p - centre) <= 1 inside."""
        form: Array = self._to_unit_ball.T @ self._to_unit_ball
        return form

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
        centres, axes, first = self._ellipsoids
        normals, distances, cut = self._cuts
        middles, towards = centres @ directions.T, directions @ axes
        reaches = np.linalg.norm(towards, axis=-1)
        cosines = np.einsum("cnj,cj->cn", (towards / reaches[:, :, np.newaxis])[cut], normals)
        rims = np.sqrt(np.maximum(1.0 - cosines**2, 0.0)) * np.sqrt(1.0 - distances**2)
        top, bottom = np.ones_like(reaches), np.ones_like(reaches)
        for end, cosine in ((top, cosines), (bottom, -cosines)):
            np.minimum.at(end, cut, np.where(distances < cosine, cosine * distances + rims, 1.0))
        return (
            np.maximum.reduceat(middles - reaches * bottom, first),
            np.minimum.reduceat(middles + reaches * top, first),
        )

    def density_at(self, points_um: Array) -> Array:
        """Density of each element at each point, in g/cm^3; points (n, 3) -> (element, n)."""
        density = np.zeros((len(self.elements), len(points_um)))
        order = np.argsort(points_um[:, 0])
        lows, highs = self.bounds_um(np.eye(3))
        starts, stops = np.searchsorted(points_um[order, 0], np.stack([lows[:, 0], highs[:, 0]]))
        for body, low, high, start, stop in zip(self.bodies, lows, highs, starts, stops, strict=True):
            near = order[start:stop]
            near = near[np.all((points_um[near] >= low) & (points_um[near] <= high), axis=1)]
            inside = near[body.solid.contains(points_um[near])]
            density[:, inside] += np.asarray(body.density_g_cm3)[:, np.newaxis]
        return density

    @cached_property
    def _ellipsoids(self) -> tuple[Array, Array, NDArray[np.intp]]:
        """All ellipsoids in one: centres (e, 3), axes (e, 3, 3), and where each body's first one stands."""
        ellipsoids = [ellipsoid for body in self.bodies for ellipsoid in body.solid.ellipsoids]
        counts = [len(body.solid.ellipsoids) for body in self.bodies]
        first = np.cumsum([0, *counts[:-1]], dtype=np.intp)
        return np.array([e.centre_um for e in ellipsoids]), np.array([e.axes_um for e in ellipsoids]), first

    @cached_property
    def _cuts(self) -> tuple[Array, Array, NDArray[np.intp]]:
        """Each plane in the unit ball of each ellipsoid it cuts: normals (c, 3), distances (c, 1), ellipsoids (c,)."""
        pairs = [(ellipsoid, body.solid.half_spaces) for body in self.bodies for ellipsoid in body.solid.ellipsoids]
        towards = np.concatenate([planes.normals @ ellipsoid.axes_um for ellipsoid, planes in pairs])
        offsets = np.concatenate([planes.offsets_um - planes.normals @ e.centre_um for e, planes in pairs])
        lengths = np.linalg.norm(towards, axis=1, keepdims=True)
        distances = np.clip(offsets[:, np.newaxis] / lengths, -1.0, 1.0)
        counts = [len(planes.offsets_um) for _, planes in pairs]
        return towards / lengths, distances, np.repeat(np.arange(len(pairs), dtype=np.intp), counts)
