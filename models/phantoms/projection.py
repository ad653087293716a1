"""Exact rays through a scene: areal densities at any angle and voxels of any size, from one and the same intervals.

At angle theta a point (x, y, z) is seen at u = x cos(theta) + z sin(theta), height y, and lies at depth
w = -x sin(theta) + z cos(theta) along the beam.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from math import ceil

import numpy as np

from models.phantoms.intervals import Field, Outline, outlines
from models.phantoms.shapes import Array, Scene

UG_CM2_PER_G_CM3_UM = 100.0
"""1 um of 1 g/cm^3 is 100 ug/cm^2."""
SAMPLE_PITCH_NM = 10.0
"""Rays stand no further apart than this, and at least ``RAYS_PER_PIXEL`` a side: images err by less than 0.5 % rms."""
RAYS_PER_PIXEL = 2


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
    for density, outline, (_, seen_rows, seen_columns) in _bodies_within(scene, frame, (_ALL_DEPTHS, rows, columns)):
        entry, exit_ = outline.intervals(rows.samples(seen_rows), columns.samples(seen_columns))
        chord_um = _block_mean(exit_ - entry, rows.rays, columns.rays)
        image[:, seen_rows, seen_columns] += np.float32(UG_CM2_PER_G_CM3_UM) * density * chord_um
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
    for density, outline, (layers, seen_rows, seen_columns) in _bodies_within(scene, frame, (depth, rows, columns)):
        entry, exit_ = outline.intervals(rows.samples(seen_rows), columns.samples(seen_columns))
        faces = (depth.edges(layers) - outline.centre_um[2]).astype(np.float32)
        below = np.maximum(np.minimum(faces[:, np.newaxis, np.newaxis], exit_), entry)
        filled = np.diff(_block_mean(below, rows.rays, columns.rays), axis=0) / np.float32(depth.pitch_um)
        volume[:, layers, seen_rows, seen_columns] += density[:, np.newaxis] * filled
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

    def windows(self, lows_um: Array, highs_um: Array) -> list[slice]:
        """The pixels that each [low, high] touches; empty outside the image."""
        first = np.clip(np.floor((lows_um - self.start_um) / self.pitch_um), 0, self.n).astype(int)
        last = np.clip(np.ceil((highs_um - self.start_um) / self.pitch_um), first, self.n).astype(int)
        return list(map(slice, first.tolist(), last.tolist()))

    def samples(self, window: slice) -> Array:
        """Where the rays through these pixels stand."""
        return self._samples[window.start * self.rays : window.stop * self.rays]

    def edges(self, window: slice) -> Array:
        """The faces between these pixels, both ends included."""
        return self.start_um + np.arange(window.start, window.stop + 1) * self.pitch_um

    @cached_property
    def _samples(self) -> Array:
        indices = np.arange(self.n * self.rays, dtype=np.float64)
        return self.start_um + (indices + 0.5) * (self.pitch_um / self.rays)


_ALL_DEPTHS = _Axis(n=1, pitch_um=2e9, start_um=-1e9, rays=1)
"""One pixel that holds every scene."""


def _bodies_within(
    scene: Scene, frame: Array, axes: tuple[_Axis, _Axis, _Axis]
) -> Iterator[tuple[Field, Outline, tuple[slice, slice, slice]]]:
    """Of each body that the image sees: densities (element, 1, 1), outline and (depth, row, column) windows."""
    lows, highs = scene.bounds_um(frame[::-1])
    densities = np.array([body.density_g_cm3 for body in scene.bodies], dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    depths, rows, columns = (axis.windows(low, high) for axis, low, high in zip(axes, lows.T, highs.T, strict=True))
    windows = zip(depths, rows, columns, strict=True)
    for density, outline, seen in zip(densities, outlines(scene, frame), windows, strict=True):
        if all(window.stop > window.start for window in seen):
            yield density, outline, seen


def _block_mean(values: Field, rows: int, columns: int) -> Field:
    """Means over blocks of the last two axes, as sums of strided views, which run faster than short reductions."""
    summed = reduce(np.add, (values[..., row::rows, :] for row in range(rows)))
    summed = reduce(np.add, (summed[..., column::columns] for column in range(columns)))
    return summed / np.float32(rows * columns)
