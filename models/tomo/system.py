"""The system matrix in closed form: how far each detector element's central ray runs through each pixel.

A slice is stored with a rim of one empty pixel, flat with x fastest: `padded_size`. The rim spares the engines all
questions about neighbours at the border, and no ray ever meets it.

Source: the chord of a ray at distance d from the middle of a unit square is clamp((h - d) / B, 0, 1) / A, with A and B
the larger and the smaller of |cos| and |sin| and h = (A + B) / 2; equal to TomoPy's and ASTRA's traced rays.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.tomo.compiled import compiled, over_rows, threads
from models.tomo.geometry import Array, edge_to_index

Values = NDArray[np.float32]
Indices = NDArray[np.int32]

_OFF_GRID_PX = 0.01
_ENTRY_BYTES = 16
"""Of a chord: its value and its index, both in the matrix and in its transpose."""


@dataclass(frozen=True)
class Geometry:
    """Where the rays of some projections run through a slice.

    Attributes:
        angles_deg: (angle,).
        centre_px: rotation axis on the detector, edge coordinates.
        n_detector: detector elements, as wide as a pixel.
        size: (z, x) pixels of a slice, whose middle is the rotation axis.
    """

    angles_deg: Array
    centre_px: float
    n_detector: int
    size: tuple[int, int]

    @property
    def padded_size(self) -> tuple[int, int]:
        """(z, x) with the rim of one pixel."""
        return self.size[0] + 2, self.size[1] + 2

    @property
    def matrix_bytes(self) -> int:
        """At most what all the matrices and their transposes take; known before they are built."""
        angles = np.deg2rad(self.angles_deg)
        per_pixel = float(np.sum(np.abs(np.cos(angles)) + np.abs(np.sin(angles))))
        return ceil(self.size[0] * self.size[1] * per_pixel) * _ENTRY_BYTES

    @property
    def axis_index(self) -> float:
        """Where the rotation axis is seen, as an index of the detector, 0.01 pixel off where rays ran along the grid.

        TomoPy's rule, kept so that results compare: rays are moved where the axis stands less than 0.01 pixel below
        the middle of the detector plus a whole number.
        """
        to_middle = (self.n_detector - 1) / 2 - self.centre_px
        on_grid = to_middle - floor(to_middle) < _OFF_GRID_PX
        return edge_to_index(self.centre_px) - (_OFF_GRID_PX if on_grid else 0.0)

    def directions(self) -> Array:
        """(angle, 2): cosine and sine."""
        angles = np.deg2rad(self.angles_deg)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix by rows: entries ``start[i]`` to ``start[i + 1]`` are row i's."""

    start: Indices
    column: Indices
    value: Values

    @property
    def n_rows(self) -> int:
        return len(self.start) - 1


@dataclass(frozen=True)
class SystemMatrix:
    """Chords in pixels, and the very same numbers transposed: the adjoint is exact.

    Attributes:
        forward: (angle * u, padded pixel).
        adjoint: (padded pixel, angle * u).
        sensitivity: (padded pixel,) sum of the chords through a pixel.
        squared_chords: (angle * u,) sum of the squares along a ray.
    """

    forward: SparseRows
    adjoint: SparseRows
    sensitivity: Values
    squared_chords: Values


def system_matrix(geometry: Geometry) -> SystemMatrix:
    """Build the matrix of all angles of a geometry; see `Geometry.matrix_bytes` for what it takes.

    Raises:
        ValueError: there are more chords than 32-bit indices can count.
    """
    n_pixels = geometry.padded_size[0] * geometry.padded_size[1]
    if geometry.matrix_bytes >= _ENTRY_BYTES * np.iinfo(np.int32).max:
        raise ValueError(
            f"the matrix of {len(geometry.angles_deg)} angles and {geometry.size} pixels has too many entries: "
            f"use more subsets"
        )
    directions, counts = geometry.directions(), np.zeros(n_pixels, np.int32)
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    seen = (directions, geometry.axis_index, geometry.n_detector, *geometry.size)
    with threads() as pool:
        over_rows(pool, geometry.size[0], lambda first, last: _trace(*seen, first, last, counts, *nothing, False))
        start = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
        column, value = np.empty(start[-1], np.int32), np.empty(start[-1], np.float32)
        over_rows(pool, geometry.size[0], lambda first, last: _trace(*seen, first, last, start, column, value, True))
    n_rays = len(geometry.angles_deg) * geometry.n_detector
    transposed = csr_matrix((value, column, start), shape=(n_pixels, n_rays), copy=False)
    by_rays = transposed.tocsc()
    squares = np.asarray(transposed.power(2).sum(axis=0, dtype=np.float64)).ravel()
    sensitivity = np.asarray(transposed.sum(axis=1, dtype=np.float64)).ravel()
    return SystemMatrix(
        SparseRows(by_rays.indptr, by_rays.indices, by_rays.data),
        SparseRows(start, column, value),
        sensitivity.astype(np.float32),
        squares.astype(np.float32),
    )


def padded_slices(volume: Values, geometry: Geometry) -> Values:
    """(padded pixel, slice) of a volume (z, slice, x)."""
    (n_z, n_x), n_slices = geometry.size, volume.shape[1]
    image = np.zeros((n_z + 2, n_x + 2, n_slices), np.float32)
    image[1:-1, 1:-1] = volume.transpose(0, 2, 1)
    return image.reshape(-1, n_slices)


def volume_of(image: Values, geometry: Geometry) -> Values:
    """(z, slice, x) of padded slices."""
    inner = image.reshape(*geometry.padded_size, -1)[1:-1, 1:-1]
    return np.ascontiguousarray(inner.transpose(0, 2, 1))


def project_slices(image: Values, geometry: Geometry) -> Values:
    """Line integrals without a matrix, one angle after the other.

    Args:
        image: (padded pixel, slice).
        geometry: any angles.

    Returns:
        (angle, u, slice) in the image's unit times pixels.
    """
    directions = geometry.directions()
    sinograms = np.zeros((len(directions), geometry.n_detector, image.shape[1]), np.float32)
    with threads() as pool:
        over_rows(
            pool,
            len(directions),
            lambda first, last: _project(
                image, directions, geometry.axis_index, *geometry.size, first, last, sinograms
            ),
        )
    return sinograms


@compiled
def chords(position: float, long: float, short: float) -> tuple[int, float, float]:
    """First detector element that a unit square at ``position`` meets, and the chords of it and of the next.

    Args:
        position: of the square's middle, in detector indices.
        long, short: larger and smaller of |cos| and |sin|.
    """
    half = 0.5 * (long + short)
    first = np.ceil(position - half)
    width = max(short, 1e-9)  # a ray along the pixels' sides: the ramp of no width becomes a step
    one = min(max((half - abs(position - first)) / width, 0.0), 1.0) / long
    other = min(max((half - abs(first + 1.0 - position)) / width, 0.0), 1.0) / long
    return int(first), one, other


@compiled
def _trace(
    directions: Array,
    axis_index: float,
    n_detector: int,
    n_z: int,
    n_x: int,
    first_row: int,
    last_row: int,
    place: Indices,
    column: Indices,
    value: Values,
    fill: bool,
) -> None:
    """Count the chords of each pixel of some image rows into ``place``, or write them from ``place`` on."""
    for i in range(first_row, last_row):
        z = i + 0.5 - 0.5 * n_z
        for j in range(n_x):
            x = j + 0.5 - 0.5 * n_x
            pixel = (i + 1) * (n_x + 2) + j + 1
            entry = place[pixel] if fill else 0
            for angle in range(directions.shape[0]):
                cosine, sine = directions[angle, 0], directions[angle, 1]
                long, short = max(abs(cosine), abs(sine)), min(abs(cosine), abs(sine))
                element, one, other = chords(x * cosine + z * sine + axis_index, long, short)
                for step in range(2):
                    chord = one if step == 0 else other
                    if chord > 0.0 and 0 <= element + step < n_detector:
                        if fill:
                            column[entry] = angle * n_detector + element + step
                            value[entry] = chord
                        entry += 1
            if not fill:
                place[pixel] = entry


@compiled
def _project(
    image: Values,
    directions: Array,
    axis_index: float,
    n_z: int,
    n_x: int,
    first_angle: int,
    last_angle: int,
    sinograms: Values,
) -> None:
    for angle in range(first_angle, last_angle):
        cosine, sine = directions[angle, 0], directions[angle, 1]
        long, short = max(abs(cosine), abs(sine)), min(abs(cosine), abs(sine))
        for i in range(n_z):
            for j in range(n_x):
                position = (j + 0.5 - 0.5 * n_x) * cosine + (i + 0.5 - 0.5 * n_z) * sine + axis_index
                element, one, other = chords(position, long, short)
                pixel = image[(i + 1) * (n_x + 2) + j + 1]
                for step in range(2):
                    chord = np.float32(one if step == 0 else other)
                    if chord > 0.0 and 0 <= element + step < sinograms.shape[1]:
                        ray = sinograms[angle, element + step]
                        for s in range(ray.size):
                            ray[s] += chord * pixel[s]
