"""Shapes refuse what has no meaning and judge spheres on the safe side."""

import numpy as np
import pytest

from models.phantoms.shapes import (
    Body,
    Ellipsoid,
    HalfSpaces,
    Scene,
    Solid,
    random_directions,
    random_rotation,
)


def test_reach_touches_the_tangent_plane() -> None:
    rng = np.random.default_rng(0)
    ellipsoid = Ellipsoid.from_axes((1.0, 2.0, 3.0), (0.5, 0.3, 0.2), random_rotation(rng))
    direction = np.array([0.6, 0.0, 0.8])
    furthest = ((ellipsoid.points_inside(100_000, rng) - ellipsoid.centre_um) @ direction).max()
    assert furthest == pytest.approx(ellipsoid.reach_um(direction), rel=0.03)
    assert furthest <= ellipsoid.reach_um(direction)


def test_spheres_are_judged_on_the_safe_side() -> None:
    solid = Solid((Ellipsoid.from_axes(np.zeros(3), 1.0),), HalfSpaces(np.array([[0.0, 0.0, 1.0]]), np.array([0.5])))
    assert solid.holds_sphere(np.zeros(3), 0.45)
    assert not solid.holds_sphere(np.zeros(3), 0.55)
    assert solid.misses_sphere(np.array([0.0, 0.0, 0.8]), 0.25)
    assert not solid.misses_sphere(np.array([0.0, 0.0, 0.7]), 0.25)


def test_a_solid_without_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="pass at least one"):
        Solid(())


def test_a_flat_ellipsoid_is_refused() -> None:
    with pytest.raises(ValueError, match="three positive lengths"):
        Ellipsoid.from_axes(np.zeros(3), (1.0, 0.0, 1.0))


def test_densities_must_match_the_elements() -> None:
    body = Body(Solid((Ellipsoid.from_axes(np.zeros(3), 1.0),)), (1.0,))
    with pytest.raises(ValueError, match="1 densities for 2 elements"):
        Scene(("Zn", "Mn"), (body,))


def test_an_empty_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one body"):
        Scene(("Zn",), ())


def test_bounds_hold_the_body_and_touch_what_one_plane_leaves_of_an_ellipsoid() -> None:
    rng = np.random.default_rng(0)
    ellipsoid = Ellipsoid.from_axes((0.3, -0.2, 0.1), (0.5, 0.3, 0.2), random_rotation(rng))
    for share in (-0.6, 0.2, 0.7):
        normal, *directions = random_directions(6, rng)
        plane = HalfSpaces(normal[None], np.array([normal @ ellipsoid.centre_um + share * ellipsoid.reach_um(normal)]))
        solid = Solid((ellipsoid,), plane)
        low, high = Scene(("Zn",), (Body(solid, (1.0,)),)).bounds_um(np.array(directions))
        points = ellipsoid.points_inside(200_000, rng)
        seen = points[solid.contains(points)] @ np.array(directions).T
        assert np.all((seen >= low) & (seen <= high))
        assert np.ptp(seen, axis=0) == pytest.approx((high - low)[0], rel=0.1)
