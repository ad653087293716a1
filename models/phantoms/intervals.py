"""Where parallel rays enter and leave each body of a scene.

In the frame (u, y, w) of detector and beam every surface is a polynomial sum_ij c_ij y^i u^j: a plane gives the depth w
where a ray crosses it, an ellipsoid the depth of the middle of a chord and the square of half its length. The
coefficients of all surfaces are found at once; each surface is then drawn by one thin matrix product.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantoms.shapes import Array, Scene

Field = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outline:
    """The surfaces that bound one body.

    Attributes:
        centre_um: (u, y, w) of the first ellipsoid, about which the polynomials are written: float32 is enough there.
        chords: (ellipsoid, 2, 3, 3) coefficients c_ij of half the chord squared and of its middle.
        planes: (plane, 3, 3) coefficients.
        forwards: (plane,) whether it bounds the body at the far side.
    """

    centre_um: Array
    chords: Array
    planes: Array
    forwards: Flags

    def intervals(self, y_um: Array, u_um: Array) -> tuple[Field, Field]:
        """Depths from ``centre_um`` where the rays enter and leave, (y, u) each; equal where they miss."""
        at_u, at_y, _ = self.centre_um
        y, u = _powers(y_um - at_y).T, _powers(u_um - at_u).astype(np.float32)
        (entry, exit_), *others = (_chord(half, middle, u) for half, middle in (y @ self.chords).astype(np.float32))
        for other_entry, other_exit in others:
            np.maximum(entry, other_entry, out=entry)
            np.minimum(exit_, other_exit, out=exit_)
        depth = np.empty_like(entry)
        for plane, forwards in zip((y @ self.planes).astype(np.float32), self.forwards, strict=True):
            np.matmul(plane, u, out=depth)
            if forwards:
                np.minimum(exit_, depth, out=exit_)
            else:
                np.maximum(entry, depth, out=entry)
        return entry, np.maximum(entry, exit_, out=exit_)


def outlines(scene: Scene, frame: Array) -> Iterator[Outline]:
    """The outline of each body in turn; ``frame`` holds the unit vectors (u, y, w) as rows."""
    centres_um = scene.ellipsoids.centres_um[scene.ellipsoids.starts] @ frame.T
    chords = np.split(_chords(scene, frame, centres_um), scene.ellipsoids.starts[1:])
    coefficients, forwards = _planes(scene, frame, centres_um)
    planes = np.split(coefficients, scene.planes.starts[1:])
    return map(Outline, centres_um, chords, planes, np.split(forwards, scene.planes.starts[1:]))


def _chords(scene: Scene, frame: Array, centres_um: Array) -> Array:
    """The quadratic in w solved, w = middle +- half; (ellipsoid, 2, 3, 3).

    With the covariance C of an ellipsoid and its inverse S of the part across the beam, r = (u, y) from its centre has
    half^2 = (C_ww - C_wr S C_rw) (1 - r S r) and middle = C_wr S r.
    """
    at = scene.ellipsoids.centres_um @ frame.T - centres_um[scene.ellipsoids.bodies]
    axes = frame @ scene.ellipsoids.axes_um
    covariance = axes @ axes.transpose(0, 2, 1)
    across = np.linalg.inv(covariance[:, :2, :2])
    tilt = np.einsum("eij,ej->ei", across, covariance[:, :2, 2])
    pull = np.einsum("eij,ej->ei", across, at[:, :2])
    coefficients = np.zeros((len(at), 2, 3, 3))
    squared, middle = coefficients[:, 0], coefficients[:, 1]
    squared[:, 0, 0] = 1.0 - np.sum(pull * at[:, :2], axis=1)
    squared[:, 0, 1], squared[:, 1, 0] = 2.0 * pull.T
    squared[:, 0, 2], squared[:, 1, 1], squared[:, 2, 0] = -across[:, 0, 0], -2.0 * across[:, 0, 1], -across[:, 1, 1]
    squared *= (covariance[:, 2, 2] - np.sum(tilt * covariance[:, :2, 2], axis=1))[:, np.newaxis, np.newaxis]
    middle[:, 0, 0] = at[:, 2] - np.sum(tilt * at[:, :2], axis=1)
    middle[:, 0, 1], middle[:, 1, 0] = tilt.T
    return coefficients


def _planes(scene: Scene, frame: Array, centres_um: Array) -> tuple[Array, Flags]:
    """(plane, 3, 3) coefficients, and whether each bounds its body at the far side."""
    along_u, along_y, along_w = normals = frame @ scene.planes.normals.T
    offsets = scene.planes.offsets_um - np.sum(normals.T * centres_um[scene.planes.bodies], axis=1)
    # A plane along the beam is tilted by 1e-6, which moves nothing but spares the division by zero.
    slopes = np.where(np.abs(along_w) < 1e-6, 1e-6, along_w)
    coefficients = np.zeros((len(slopes), 3, 3))
    coefficients[:, 0, 0] = offsets / slopes
    coefficients[:, 0, 1] = -along_u / slopes
    coefficients[:, 1, 0] = -along_y / slopes
    return coefficients, slopes > 0


def _chord(half_squared: Field, middle: Field, u: Field) -> tuple[Field, Field]:
    """Both ends, at the middle where the ray misses; coefficients (y, power) and powers (power, u) -> (y, u)."""
    half = half_squared @ u
    np.sqrt(np.maximum(half, np.float32(0), out=half), out=half)
    centre = middle @ u
    return centre - half, np.add(centre, half, out=half)


def _powers(values: Array) -> Array:
    """1, x, x^2 as rows."""
    powers = np.ones((3, len(values)))
    powers[1] = values
    np.multiply(values, values, out=powers[2])
    return powers
