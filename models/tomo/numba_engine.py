"""The engine of CPUs: each step of an iteration is one pass over the image, in machine code."""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from models.tomo.compiled import compiled, over_rows, threads
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.likelihood import Fit, LikelihoodResult, LikelihoodSettings, Problem, maximise
from models.tomo.system import (
    Geometry,
    Indices,
    SystemMatrix,
    Values,
    padded_slices,
    project_slices,
    system_matrix,
)

_ACROSS = np.float32(0.5**0.5)
"""Weight of a diagonal neighbour; one beside has 1."""
_ALL_NEIGHBOURS = 4 + 4 * 0.5**0.5
_ONE, _TWO, _FOUR, _EIGHT = (np.float32(number) for number in (1, 2, 4, 8))
_ZERO = np.float32(0)
_FACTORS = 8
"""Pixels whose (1 + r / delta) are multiplied up before one logarithm is taken: 16 factors of up to 1e19 each."""


@dataclass(frozen=True)
class NumbaEngine:
    """Fused loops in machine code on the CPU."""

    name: str = "numba"

    def unavailable(self) -> str | None:
        """It always is available."""
        return None

    def memory_bytes(self, geometry: Geometry, n_slices: int, settings: LikelihoodSettings) -> int:
        """See `models.tomo.engines.Engine`."""
        n_pixels, n_rays = int(np.prod(geometry.padded_size)), len(geometry.angles_deg) * geometry.n_detector
        images = 3 if settings.tolerance else 2
        return geometry.matrix_bytes + 4 * n_slices * (images * n_pixels + 2 * n_rays)

    def project(self, volume: Values, geometry: Geometry) -> Values:
        """See `models.tomo.engines.Engine`."""
        return project_slices(padded_slices(volume, geometry), geometry).transpose(0, 2, 1).copy()

    def reconstruct(
        self,
        projections: Values,
        geometry: Geometry,
        settings: LikelihoodSettings,
        *,
        initial: Values | None = None,
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
    ) -> LikelihoodResult:
        """See `models.tomo.engines.Engine`."""
        return maximise(self.name, _NumbaSweep, projections, geometry, settings, initial, progress, cancelled)


class _NumbaSweep:
    """Two images in turn: every pixel of an update is computed from the image before it."""

    def __init__(self, problem: Problem, image: Values) -> None:
        self._problem, self._image, self._updated = problem, image, image.copy()
        self._matrices = tuple(system_matrix(geometry) for geometry in problem.geometries)
        self._rays = np.empty((max(map(len, problem.sinograms)), image.shape[1]), np.float32)
        self._before = image.copy() if problem.settings.tolerance else None
        sirt = problem.settings.method == "sirt"
        self._per_ray = tuple(_inverse(m.squared_chords) if sirt else np.zeros(0, np.float32) for m in self._matrices)

    def update(self, subset: int) -> Fit:
        """See `Sweep`."""
        settings, matrix, data = self._problem.settings, self._matrices[subset], self._problem.sinograms[subset]
        rays, adjoint = self._rays[: len(data)], matrix.adjoint
        seen = self._sensitivity(matrix, data)
        with threads() as pool:
            forward = matrix.forward.start, matrix.forward.column, matrix.forward.value
            arguments = (*forward, self._image, data, self._per_ray[subset], rays)
            fits = over_rows(pool, len(data), lambda first, last: _compare(*arguments, first, last))
            back = adjoint.start, adjoint.column, adjoint.value, rays, self._image, self._updated, seen
            factors = np.float32(2 * settings.beta), np.float32(settings.inverse_delta), settings.method == "sirt"
            size = self._problem.geometries[subset].size
            over_rows(pool, size[0], lambda first, last: _move(*back, *factors, *size, first, last))
        self._image, self._updated = self._updated, self._image
        return Fit(*(sum(parts) for parts in zip(*fits, strict=True)))

    def penalty(self) -> float:
        """See `Sweep`."""
        settings, (n_z, n_x) = self._problem.settings, self._problem.geometries[0].size
        if not settings.beta:
            return 0.0
        inverse = settings.inverse_delta
        with threads() as pool:
            parts = over_rows(pool, n_z, lambda first, last: _potential(self._image, inverse, n_z, n_x, first, last))
        return 2 * settings.beta / _ALL_NEIGHBOURS * float(sum(parts))

    def change(self) -> float:
        """See `Sweep`."""
        assert self._before is not None
        norm = float(np.linalg.norm(self._image))
        moved = float(np.linalg.norm(np.subtract(self._image, self._before, out=self._before)))
        self._before[:] = self._image
        return moved / norm if norm else 0.0

    def image(self) -> Values:
        """See `Sweep`."""
        return self._image

    def _sensitivity(self, matrix: SystemMatrix, data: Values) -> Values:
        """(padded pixel, 1), or (padded pixel, slice) of the measured rays where some were not."""
        if not self._problem.has_gaps:
            return matrix.sensitivity[:, None]
        seen = np.empty_like(self._image)
        measured, adjoint = np.isfinite(data).astype(np.float32), matrix.adjoint
        with threads() as pool:
            arguments = adjoint.start, adjoint.column, adjoint.value, measured, seen
            over_rows(pool, len(seen), lambda first, last: _multiply(*arguments, first, last))
        return seen


def _inverse(values: Values) -> Values:
    return np.divide(1, values, out=np.zeros_like(values), where=values > 0)


@compiled
def _gather(start: Indices, column: Indices, value: Values, row: int, table: Values, total: Values) -> None:
    """``total`` becomes a row of the matrix times the table; four entries at a time, as loads and stores cost most."""
    for s in range(total.size):
        total[s] = _ZERO
    entry, end = start[row], start[row + 1]
    while entry + 4 <= end:
        a, b, c, d = value[entry], value[entry + 1], value[entry + 2], value[entry + 3]
        one, two = table[column[entry]], table[column[entry + 1]]
        three, four = table[column[entry + 2]], table[column[entry + 3]]
        for s in range(total.size):
            total[s] = total[s] + a * one[s] + b * two[s] + c * three[s] + d * four[s]
        entry += 4
    while entry < end:
        a, one = value[entry], table[column[entry]]
        for s in range(total.size):
            total[s] += a * one[s]
        entry += 1


@compiled
def _multiply(
    start: Indices, column: Indices, value: Values, table: Values, product: Values, first: int, last: int
) -> None:
    for row in range(first, last):
        _gather(start, column, value, row, table, product[row])


@compiled
def _compare(
    start: Indices,
    column: Indices,
    value: Values,
    image: Values,
    data: Values,
    per_ray: Values,
    rays: Values,
    first: int,
    last: int,
) -> tuple[float, float]:
    """Project some rays and write what is to be projected back: data over projection, or the weighted difference.

    ``per_ray`` holds the weights of `sirt` and is empty for the others. Returns log-likelihood and squared misfit.
    """
    likelihood, squares = 0.0, np.zeros(image.shape[1])  # by slice: one sum for all would be scalar
    for ray in range(first, last):
        seen, measured = rays[ray], data[ray]
        _gather(start, column, value, ray, image, seen)
        for s in range(seen.size):
            difference = measured[s] - seen[s] if measured[s] == measured[s] else _ZERO
            squares[s] += float(difference) * float(difference)
        if per_ray.size:
            for s in range(seen.size):
                difference = measured[s] - seen[s] if measured[s] == measured[s] else _ZERO
                likelihood -= 0.5 * per_ray[ray] * difference * difference
                seen[s] = difference * per_ray[ray]
        else:
            for s in range(seen.size):
                if measured[s] >= 0 and seen[s] > 0:
                    likelihood -= seen[s]
                    if measured[s] > 0:
                        likelihood += measured[s] * log(seen[s])
            for s in range(seen.size):
                seen[s] = measured[s] / seen[s] if seen[s] > 0 and measured[s] >= 0 else _ZERO
    return likelihood, squares.sum()


@compiled
def _move(
    start: Indices,
    column: Indices,
    value: Values,
    rays: Values,
    image: Values,
    updated: Values,
    sensitivity: Values,
    twice_beta: np.float32,
    inverse_delta: np.float32,
    additive: bool,
    n_z: int,
    n_x: int,
    first: int,
    last: int,
) -> None:
    """Project back onto some image rows and solve each pixel's equation."""
    back, curvature, slope = np.empty(image.shape[1], np.float32), updated[0].copy(), updated[0].copy()
    for i in range(first, last):
        for j in range(n_x):
            pixel = (i + 1) * (n_x + 2) + j + 1
            _gather(start, column, value, pixel, rays, back)
            x, result = image[pixel], updated[pixel]
            if sensitivity.shape[1] == 1:
                for s in range(x.size):
                    slope[s] = sensitivity[pixel, 0]
            else:
                for s in range(x.size):
                    slope[s] = sensitivity[pixel, s]
            if additive:
                for s in range(x.size):
                    result[s] = x[s] + back[s] / slope[s] if slope[s] > 0 else x[s]
            elif twice_beta == 0 or n_z * n_x == 1:
                for s in range(x.size):
                    result[s] = x[s] * back[s] / slope[s] if slope[s] > 0 else x[s]
            else:
                _draw_together(image, pixel, i, j, n_z, n_x, twice_beta, inverse_delta, curvature, slope)
                _solve(x, back, curvature, slope, result)


@compiled
def _draw_together(
    image: Values,
    pixel: int,
    i: int,
    j: int,
    n_z: int,
    n_x: int,
    twice_beta: np.float32,
    inverse_delta: np.float32,
    curvature: Values,
    slope: Values,
) -> None:
    """F of a pixel into ``curvature``, and its part of G taken off ``slope``."""
    x = image[pixel]
    beside_z, beside_x = (i > 0) + (i < n_z - 1), (j > 0) + (j < n_x - 1)
    share = twice_beta / (np.float32(beside_z + beside_x) + _ACROSS * np.float32(beside_z * beside_x))
    for s in range(x.size):
        curvature[s] = _ZERO
    for up in range(-1, 2):
        for right in range(-1, 2):
            inside = 0 <= i + up < n_z and 0 <= j + right < n_x
            if not inside or (up == 0 and right == 0):
                continue
            weight = share if up == 0 or right == 0 else share * _ACROSS
            neighbour = image[pixel + up * (n_x + 2) + right]
            for s in range(x.size):
                drawn = weight / (_ONE + abs(x[s] - neighbour[s]) * inverse_delta)
                curvature[s] += drawn
                slope[s] -= drawn * (x[s] + neighbour[s])


@compiled
def _solve(x: Values, back: Values, curvature: Values, slope: Values, result: Values) -> None:
    """The positive root, in whichever of its two forms nothing cancels."""
    for s in range(x.size):
        likely = x[s] * back[s]
        root = np.float32(sqrt(slope[s] * slope[s] + _EIGHT * likely * curvature[s]))
        rising = slope[s] > 0
        above = _TWO * likely if rising else root - slope[s]
        below = slope[s] + root if rising else _FOUR * curvature[s]
        result[s] = above / below


@compiled
def _potential(image: Values, inverse_delta: float, n_z: int, n_x: int, first: int, last: int) -> float:
    """Sum of w phi over the pairs of neighbours that start in some image rows; w is 1 beside, 1 / sqrt 2 across."""
    total = 0.0
    sums, factor = np.zeros(image.shape[1]), np.ones((2, image.shape[1]))  # by slice: one sum for all would be scalar
    for i in range(first, last):
        for j in range(n_x):
            pixel = (i + 1) * (n_x + 2) + j + 1
            x = image[pixel]
            for step in range(4):
                up, right = (0, 1) if step == 0 else (1, step - 2)
                if i + up >= n_z or not 0 <= j + right < n_x:
                    continue
                across = 1 if up and right else 0
                weight, product = (0.5**0.5 if across else 1.0), factor[across]
                neighbour = image[pixel + up * (n_x + 2) + right]
                if inverse_delta == 0:
                    for s in range(x.size):
                        difference = float(x[s] - neighbour[s])
                        sums[s] += 0.5 * weight * difference * difference
                else:
                    for s in range(x.size):
                        scaled = abs(float(x[s] - neighbour[s])) * inverse_delta
                        sums[s] += weight * scaled
                        product[s] *= 1.0 + scaled
            if inverse_delta > 0 and (j % _FACTORS == _FACTORS - 1 or j == n_x - 1):
                for s in range(x.size):
                    logs = log(factor[0, s]) + 0.5**0.5 * log(factor[1, s])
                    total -= logs
                    factor[0, s] = factor[1, s] = 1.0
    total += float(sums.sum())
    return total / (inverse_delta * inverse_delta) if inverse_delta > 0 else total
