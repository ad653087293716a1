"""Exact rays through a scene: areal densities at any angle and voxels of any size, from one and the same intervals.

At angle theta a point (x, y, z) is seen at u = x cos(theta) + z sin(theta), height y, and lies at depth
w = -x sin(theta) + z cos(theta) along the beam.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from models.phantoms.shapes import Body, Ellipsoid, HalfSpaces, Scene, Solid

UG_CM2_PER_G_CM3_UM = 100.0
"""1 um of 1 g/cm^3 is 100 ug/cm^2."""
SAMPLE_PITCH_NM = 10.0
"""Rays stand no further apart than this, and at least ``RAYS_PER_PIXEL`` a side: images err by less than 0.5 % rms."""
RAYS_PER_PIXEL = 2

Field = NDArray[np.float32]
Array = NDArray[np.float64]


def beam_frame(theta_deg: float) -> Array:
    """The unit vectors (u, y, w) of the detector's axes and the beam as rows, in specimen coordinates (x, y, z)."""
    cosine, sine = np.cos(np.deg2rad(theta_deg)), np.sin(np.deg2rad(theta_deg))
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def areal_density_ug_cm2(
    scene: Scene,
    theta_deg: float,
    shape: tuple[int, int],
    pixel_size_nm: float,
    centre_um: tuple[float, float] = (0.0, 0.0),
) -> Field:
    """Areal density of each element behind each pixel, averaged over the pixel.

    Args:
        scene: what stands in the beam.
        theta_deg: rotation angle.
        shape: (rows, points) of the image.
        pixel_size_nm: side of a pixel.
        centre_um: (y, u) of the middle of the image.

    Returns:
        (element, y, x) in ug/cm^2.
    """
    frame = beam_frame(theta_deg)
    rows, columns = (_Axis.centred(n, pixel_size_nm, middle) for n, middle in zip(shape, centre_um, strict=True))
    image = np.zeros((len(scene.elements), *shape), dtype=np.float32)
    for body, (_, seen_rows, seen_columns) in _bodies_within(scene, frame, (None, rows, columns)):
        entry, exit_ = _interval(body.solid, frame, rows.samples(seen_rows), columns.samples(seen_columns))
        chord_um = _block_mean(exit_ - entry, rows.rays, columns.rays)
        for plane, density in zip(image, body.density_g_cm3, strict=True):
            plane[seen_rows, seen_columns] += np.float32(UG_CM2_PER_G_CM3_UM * density) * chord_um
    return image


def voxel_density_g_cm3(
    scene: Scene,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    centre_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Field:
    """Density of each element averaged over each voxel: the rays of 0 degrees cut at the voxels' faces.

    Args:
        scene: what to render.
        shape: (z, y, x) voxels.
        voxel_size_nm: side of a voxel.
        centre_um: (z, y, x) of the middle of the volume.

    Returns:
        (element, z, y, x) in g/cm^3.
    """
    frame = beam_frame(0.0)
    depth, rows, columns = (_Axis.centred(n, voxel_size_nm, middle) for n, middle in zip(shape, centre_um, strict=True))
    volume = np.zeros((len(scene.elements), *shape), dtype=np.float32)
    for body, (layers, seen_rows, seen_columns) in _bodies_within(scene, frame, (depth, rows, columns)):
        entry, exit_ = _interval(body.solid, frame, rows.samples(seen_rows), columns.samples(seen_columns))
        faces = (depth.edges(layers) - body.solid.ellipsoids[0].centre_um[2]).astype(np.float32)
        below = _block_mean(np.clip(faces[:, np.newaxis, np.newaxis], entry, exit_), rows.rays, columns.rays)
        filled = np.diff(below, axis=0) / np.float32(depth.pitch_um)
        for block, density in zip(volume, body.density_g_cm3, strict=True):
            block[layers, seen_rows, seen_columns] += np.float32(density) * filled
    return volume


@dataclass(frozen=True)
class _Axis:
    """Pixels along one axis of an image, each crossed by ``rays`` evenly spaced rays."""

    n: int
    pitch_um: float
    start_um: float
    rays: int

    @classmethod
    def centred(cls, n: int, pitch_nm: float, middle_um: float) -> "_Axis":
        if n < 1 or not pitch_nm > 0:
            raise ValueError(f"an axis of {n} pixels of {pitch_nm} nm was asked for: both must be positive")
        pitch_um = pitch_nm * 1e-3
        rays = max(RAYS_PER_PIXEL, ceil(pitch_nm / SAMPLE_PITCH_NM - 1e-9))
        return cls(n, pitch_um, middle_um - 0.5 * n * pitch_um, rays)

    def window(self, low_um: float, high_um: float) -> slice:
        """The pixels that [low_um, high_um] touches; empty outside the image."""
        first = max(0, floor((low_um - self.start_um) / self.pitch_um))
        last = min(self.n, ceil((high_um - self.start_um) / self.pitch_um))
        return slice(first, max(first, last))

    def samples(self, window: slice) -> Array:
        """Where the rays through these pixels stand."""
        step = self.pitch_um / self.rays
        return self.start_um + (np.arange(window.start * self.rays, window.stop * self.rays) + 0.5) * step

    def edges(self, window: slice) -> Array:
        """The faces between these pixels, both ends included."""
        return self.start_um + np.arange(window.start, window.stop + 1) * self.pitch_um


def _bodies_within(
    scene: Scene, frame: Array, axes: tuple[_Axis | None, _Axis, _Axis]
) -> Iterator[tuple[Body, tuple[slice, slice, slice]]]:
    """Each body that the image sees, with its (depth, row, column) windows; a depth axis of None sees all depths."""
    lows, highs = scene.bounds_um(frame[::-1])
    for body, low, high in zip(scene.bodies, lows.tolist(), highs.tolist(), strict=True):
        windows = [
            slice(0, 1) if axis is None else axis.window(*limits) for axis, *limits in zip(axes, low, high, strict=True)
        ]
        if all(window.stop > window.start for window in windows):
            yield body, (windows[0], windows[1], windows[2])


def _interval(solid: Solid, frame: Array, y_um: Array, u_um: Array) -> tuple[Field, Field]:
    """Depths where the rays (y, u) enter and leave, from the centre of the first ellipsoid; equal where they miss."""
    origin = solid.ellipsoids[0].centre_um
    at_u, at_y, _ = frame @ origin
    y, u = y_um - at_y, u_um - at_u
    entry, exit_ = _through_ellipsoid(solid.ellipsoids[0], frame, origin, y, u)
    for ellipsoid in solid.ellipsoids[1:]:
        other_entry, other_exit = _through_ellipsoid(ellipsoid, frame, origin, y, u)
        np.maximum(entry, other_entry, out=entry)
        np.minimum(exit_, other_exit, out=exit_)
    _cut_by_planes(solid.half_spaces, frame, origin, (y, u), (entry, exit_))
    return entry, np.maximum(entry, exit_, out=exit_)


def _through_ellipsoid(ellipsoid: Ellipsoid, frame: Array, origin: Array, y: Array, u: Array) -> tuple[Field, Field]:
    """The quadratic in the depth w solved: w = middle +- half, half = 0 where the ray misses."""
    at_u, at_y, at_w = frame @ (ellipsoid.centre_um - origin)
    form = frame @ ellipsoid.form @ frame.T
    along = form[2, 2]
    across = (form[:2, :2] - np.outer(form[:2, 2], form[2, :2]) / along) / along
    u, y = u - at_u, y - at_y
    flat = np.ones_like(y)
    half = _polynomial(np.stack([1 / along - across[1, 1] * y**2, -2 * across[0, 1] * y, -across[0, 0] * flat]), u)
    np.sqrt(np.maximum(half, np.float32(0), out=half), out=half)
    middle = _polynomial(np.stack([at_w - form[1, 2] / along * y, -form[0, 2] / along * flat]), u)
    return middle - half, np.add(middle, half, out=half)


def _cut_by_planes(
    planes: HalfSpaces, frame: Array, origin: Array, ray: tuple[Array, Array], interval: tuple[Field, Field]
) -> None:
    """Shorten the intervals in place where planes cut the rays."""
    y, u = ray
    entry, exit_ = interval
    normals = planes.normals @ frame.T
    offsets = planes.offsets_um - planes.normals @ origin
    # A plane along the beam is tilted by 1e-6, which moves nothing but spares the division by zero.
    slopes = np.where(np.abs(normals[:, 2]) < 1e-6, 1e-6, normals[:, 2])
    at_axis = (offsets / slopes)[:, np.newaxis] - (normals[:, 1] / slopes)[:, np.newaxis] * y
    along_u = np.broadcast_to((-normals[:, 0] / slopes)[:, np.newaxis], at_axis.shape)
    bound = np.empty_like(entry)
    powers = _powers(u, 2)
    for forwards, coefficients in zip(
        slopes > 0, np.stack([at_axis, along_u], axis=-1).astype(np.float32), strict=True
    ):
        np.matmul(coefficients, powers, out=bound)
        if forwards:
            np.minimum(exit_, bound, out=exit_)
        else:
            np.maximum(entry, bound, out=entry)


def _polynomial(coefficients: Array, u: Array) -> Field:
    """Sum over k of c_k(y) u^k, (k, y) and (u,) -> (y, u): a thin matrix product is quicker than a broadcast sum."""
    value: Field = coefficients.T.astype(np.float32) @ _powers(u, len(coefficients))
    return value


def _powers(u: Array, n: int) -> Field:
    """1, u, u^2 ... as rows, (n, u)."""
    return np.vander(u, n, increasing=True).T.astype(np.float32)


def _block_mean(values: Field, rows: int, columns: int) -> Field:
    """Means over blocks of the last two axes, as sums of strided views, which run faster than short reductions."""
    summed = reduce(np.add, (values[..., row::rows, :] for row in range(rows)))
    summed = reduce(np.add, (summed[..., column::columns] for column in range(columns)))
    return summed / np.float32(rows * columns)
