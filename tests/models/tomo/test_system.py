"""The matrix, its transpose and the projector without a matrix are one operator, of known size."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.tomo.engines import ENGINES
from models.tomo.system import Geometry, SparseRows, padded_slices, project_slices, system_matrix, volume_of

GEOMETRIES = [
    Geometry(np.array([0.0, 17.0, 45.0, 90.0, 133.0, 180.0, -75.0, 285.0]), 10.0, 20, (20, 20)),
    Geometry(np.linspace(-10, 200, 7), 8.3, 17, (13, 22)),
    Geometry(np.array([0.0, 90.0]), 5.5, 12, (12, 9)),
]


def dense(rows: SparseRows, n_columns: int) -> csr_matrix:
    return csr_matrix((rows.value, rows.column, rows.start), shape=(rows.n_rows, n_columns))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_adjoint_matches_forward_operator(geometry: Geometry) -> None:
    matrix, rng = system_matrix(geometry), np.random.default_rng(0)
    forward, adjoint = dense(matrix.forward, matrix.adjoint.n_rows), dense(matrix.adjoint, matrix.forward.n_rows)
    assert (forward != adjoint.T).nnz == 0
    x, y = rng.random(matrix.adjoint.n_rows), rng.random(matrix.forward.n_rows)
    assert (forward @ x) @ y == pytest.approx(x @ (adjoint @ y), rel=1e-5)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_projector_without_a_matrix_is_the_matrix(geometry: Geometry) -> None:
    matrix, rng = system_matrix(geometry), np.random.default_rng(0)
    image = padded_slices(rng.random((geometry.size[0], 3, geometry.size[1])).astype(np.float32), geometry)
    product = dense(matrix.forward, matrix.adjoint.n_rows) @ image
    assert project_slices(image, geometry).reshape(-1, 3) == pytest.approx(product, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_sums_of_chords_are_those_of_the_matrix(geometry: Geometry) -> None:
    matrix = system_matrix(geometry)
    forward = dense(matrix.forward, matrix.adjoint.n_rows)
    assert matrix.sensitivity == pytest.approx(np.asarray(forward.sum(axis=0)).ravel(), rel=1e-5)
    assert matrix.squared_chords == pytest.approx(np.asarray(forward.power(2).sum(axis=1)).ravel(), rel=1e-5)


def test_a_ray_through_the_middle_at_45_degrees_is_the_diagonal() -> None:
    geometry = Geometry(np.array([45.0]), 5.5, 11, (7, 7))
    matrix = system_matrix(geometry)
    lengths = dense(matrix.forward, matrix.adjoint.n_rows).sum(axis=1)
    assert np.max(lengths) == pytest.approx(7 * np.sqrt(2), abs=0.03)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_bytes_stated_are_those_built_or_a_little_more(geometry: Geometry) -> None:
    matrix = system_matrix(geometry)
    built = sum(rows.column.nbytes + rows.value.nbytes for rows in (matrix.forward, matrix.adjoint))
    assert 0.6 * geometry.matrix_bytes < built <= geometry.matrix_bytes


def test_the_rim_is_neither_seen_nor_written() -> None:
    geometry = GEOMETRIES[1]
    volume = np.random.default_rng(0).random((13, 2, 22)).astype(np.float32)
    framed = padded_slices(volume, geometry).reshape(15, 24, 2)
    assert framed.sum(dtype=float) == pytest.approx(volume.sum(dtype=float))
    assert np.array_equal(volume_of(framed.reshape(-1, 2), geometry), volume)
    seen = system_matrix(geometry).sensitivity.reshape(15, 24)
    assert not seen[[0, -1]].any()
    assert not seen[:, [0, -1]].any()


def test_rays_along_the_grid_are_moved_by_a_hundredth_of_a_pixel() -> None:
    assert Geometry(np.zeros(1), 5.5, 12, (12, 12)).axis_index == pytest.approx(5.0 - 0.01)
    assert Geometry(np.zeros(1), 6.0, 12, (12, 12)).axis_index == pytest.approx(5.5)


@pytest.mark.parametrize("name", ["numba", "torch"])
def test_a_projection_at_zero_degrees_is_the_sum_along_the_beam(name: str) -> None:
    volume = np.random.default_rng(0).random((10, 3, 14)).astype(np.float32)
    projected = ENGINES[name].project(volume, Geometry(np.zeros(1), 7.0, 14, (10, 14)))
    assert projected[0] == pytest.approx(volume.sum(axis=0), rel=1e-5)
