"""Grains, cracks and pores never overlap; packed particles neither."""

import numpy as np
import pytest

from models.phantoms.grains import CrackWidths, drill_pores, tessellate
from models.phantoms.packing import Cylinder
from models.phantoms.shapes import Body, Ellipsoid, Scene, Solid, random_rotation

OUTLINE = Ellipsoid.from_axes((0.1, 0.0, -0.1), (0.6, 0.5, 0.4))


@pytest.mark.parametrize("n_grains", [1, 2, 5, 6, 40])
def test_closed_grains_fill_the_particle_once(n_grains: int) -> None:
    rng = np.random.default_rng(n_grains)
    closed = CrackWidths(0, (0.03, 0.06), 0.0, (0.015, 0.03))
    grains = tessellate(OUTLINE, OUTLINE.points_inside(n_grains, rng), closed, rng)
    scene = Scene(("Mn",), tuple(body for grain in grains for body in grain.filling(Solid((OUTLINE,)), (1.0,))))
    density = scene.density_at(OUTLINE.points_inside(5000, rng))
    assert density.max() == 1.0
    assert density.mean() > 0.97


def test_open_boundaries_leave_cracks_of_the_asked_width() -> None:
    rng = np.random.default_rng(0)
    seeds = np.array([[0.1, 0.0, -0.3], [0.1, 0.0, 0.1]])
    grains = tessellate(OUTLINE, seeds, CrackWidths(0, (0.05, 0.05), 1.0, (0.05, 0.05)), rng)
    along_z = np.array([[0.1, 0.0, z] for z in np.linspace(-0.2, 0.0, 2001)])
    empty = ~(grains[0].solid.contains(along_z) | grains[1].solid.contains(along_z))
    assert empty.sum() * 1e-4 == pytest.approx(0.05, abs=2e-4)


def test_a_coated_grain_has_the_core_density_inside_and_the_shell_outside() -> None:
    rng = np.random.default_rng(0)
    grains = tessellate(OUTLINE, OUTLINE.points_inside(12, rng), CrackWidths(0, (0.03, 0.06), 0.0, (0.01, 0.02)), rng)
    hull, core = Solid((OUTLINE,)), Solid((OUTLINE.scaled(0.7),))
    scene = Scene(("Zn",), tuple(body for grain in grains for body in grain.coated(hull, core, (0.25,), (1.0,))))
    points = OUTLINE.points_inside(3000, rng)
    density, depth = scene.density_at(points)[0], OUTLINE.depth(points)
    assert set(np.round(density[depth < 0.69], 9)) <= {0.0, 0.25}
    assert set(np.round(density[depth > 0.71], 9)) <= {0.0, 1.0}


def test_pores_stay_in_their_grain_and_apart() -> None:
    rng = np.random.default_rng(0)
    grains = tessellate(OUTLINE, OUTLINE.points_inside(6, rng), CrackWidths(2, (0.03, 0.06), 0.3, (0.015, 0.03)), rng)
    bodies = [Body(grain.solid, (1.0,)) for grain in grains]
    n_grains = len(bodies)
    for grain in grains:
        bodies += [Body(pore, (-1.0,)) for pore in drill_pores(grain, Solid((OUTLINE,)), np.full(12, 0.05), rng)]
    assert len(bodies) > n_grains + 10
    assert Scene(("Mn",), tuple(bodies)).density_at(OUTLINE.points_inside(40_000, rng)).min() >= 0


def test_packed_ellipsoids_do_not_overlap_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    cylinder = Cylinder(1.0, 0.8)
    shapes = [Ellipsoid.from_axes(np.zeros(3), (0.3, 0.2, 0.15), random_rotation(rng)) for _ in range(40)]
    placed = [spot for shape in shapes if (spot := cylinder.place(shape, rng)) is not None]
    points = rng.uniform(-1.2, 1.2, (50_000, 3))
    covered = sum((ellipsoid.depth(points) <= 1).astype(int) for ellipsoid in placed)
    assert len(placed) > 15
    assert covered.max() == 1
    inside = points[covered == 1]
    assert np.hypot(inside[:, 0], inside[:, 2]).max() <= 1.0
    assert np.abs(inside[:, 1]).max() <= 0.8
