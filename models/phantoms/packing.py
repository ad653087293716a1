"""Where particles stand: dropped one by one into a cylinder, each against what is already there."""

import numpy as np
from scipy.spatial.distance import cdist

from models.phantoms.shapes import Array, Ellipsoid

_TRIALS = 160
_NEAR_UM = 0.25
"""Neighbours further apart than this do not attract."""


class Cylinder:
    """A container about the rotation axis that fills up with ellipsoids that never overlap."""

    def __init__(self, radius_um: float, half_height_um: float) -> None:
        """An empty cylinder about x = z = 0 that reaches ``half_height_um`` up and down along y."""
        self._radius_um = radius_um
        self._half_height_um = half_height_um
        self._centres_um = np.zeros((0, 3))
        self._axes_um = np.zeros((0, 3, 3))
        self._largest_um = np.zeros(0)

    def place(self, shape: Ellipsoid, rng: np.random.Generator) -> Ellipsoid | None:
        """Put a shape, whatever its own centre, at the free spot nearest to a neighbour; None without a free spot."""
        spots = self._spots(shape, rng)
        clearance = self._clearance_um(shape, spots)
        free = np.flatnonzero(clearance > 0)
        if not len(free):
            return None
        placed = shape.moved_to(spots[free[np.argmin(clearance[free])]])
        self._centres_um = np.concatenate([self._centres_um, placed.centre_um[np.newaxis]])
        self._axes_um = np.concatenate([self._axes_um, placed.axes_um[np.newaxis]])
        self._largest_um = np.append(self._largest_um, placed.semi_axes_um.max())
        return placed

    def _spots(self, shape: Ellipsoid, rng: np.random.Generator) -> Array:
        """Random centres that keep the shape inside the cylinder, (trial, 3)."""
        radius = (self._radius_um - shape.semi_axes_um.max()) * np.sqrt(rng.random(_TRIALS))
        turn = rng.uniform(0, 2 * np.pi, _TRIALS)
        height = (self._half_height_um - shape.reach_um(np.array([0.0, 1.0, 0.0]))) * rng.uniform(-1, 1, _TRIALS)
        return np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=1)

    def _clearance_um(self, shape: Ellipsoid, spots: Array) -> Array:
        """Least width of an empty slab across the line of centres from each spot to its neighbours; else below 0."""
        clearance = np.full(len(spots), self._radius_um)
        distances = cdist(spots, self._centres_um)
        spot, other = np.nonzero(distances < self._largest_um + shape.semi_axes_um.max() + _NEAR_UM)
        distance = distances[spot, other]
        direction = (spots[spot] - self._centres_um[other]) / np.maximum(distance, 1e-9)[:, np.newaxis]
        others_reach = np.linalg.norm(np.einsum("pi,pij->pj", direction, self._axes_um[other]), axis=-1)
        np.minimum.at(clearance, spot, distance - shape.reach_um(direction) - others_reach)
        return clearance
