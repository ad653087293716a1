"""An asymmetric scene whose projections and voxels are both exact, and its projections."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pytest
import torch

from models.phantoms.projection import areal_density_ug_cm2, voxel_density_g_cm3
from models.phantoms.shapes import Body, Ellipsoid, Scene, Solid
from models.tomo.algorithms import ALGORITHMS

PIXEL_NM = 25.0


@dataclass(frozen=True)
class Scan:
    """Projections (angle, y, x) in ug/cm^2 of a scene."""

    scene: Scene
    angles_deg: np.ndarray
    projections: np.ndarray
    centre_px: float
    pixel_size_nm: float = PIXEL_NM

    @cached_property
    def truth(self) -> np.ndarray:
        """(z, y, x) in g/cm^3 on the grid of the reconstruction."""
        _, ny, nx = self.projections.shape
        return voxel_density_g_cm3(self.scene, (nx, ny, nx), self.pixel_size_nm)[0]

    @cached_property
    def volume(self) -> np.ndarray:
        """The scan reconstructed by FBP, as it stands; (z, y, x) in g/cm^3."""
        return ALGORITHMS["fbp"].reconstruct(self.projections, self.angles_deg, self.centre_px, self.pixel_size_nm)


def asymmetric_scene() -> Scene:
    """Nothing in it is its own mirror image: x, y and z are told apart."""
    bodies = (
        Body(Solid((Ellipsoid.from_axes((0.05, 0.0, 0.02), (0.48, 0.40, 0.36)),)), (1.0,)),
        Body(Solid((Ellipsoid.from_axes((0.25, 0.10, 0.05), 0.12),)), (2.0,)),
        Body(Solid((Ellipsoid.from_axes((-0.10, -0.12, 0.20), (0.10, 0.12, 0.09)),)), (-1.0,)),
        Body(Solid((Ellipsoid.from_axes((-0.30, 0.05, -0.52), 0.08),)), (3.0,)),
    )
    return Scene(("Zn",), bodies)


def scan(angles_deg: np.ndarray, centre_px: float = 30.0, shape: tuple[int, int] = (40, 60)) -> Scan:
    """Project the scene with the rotation axis at an edge coordinate of the detector; the same scan only once."""
    return _scan(tuple(np.asarray(angles_deg, dtype=float).tolist()), centre_px, shape)


@lru_cache(maxsize=32)
def _scan(angles_deg: tuple[float, ...], centre_px: float, shape: tuple[int, int]) -> Scan:
    scene = asymmetric_scene()
    image_centre_um = (0.0, (shape[1] / 2 - centre_px) * PIXEL_NM * 1e-3)
    images = [areal_density_ug_cm2(scene, theta, shape, PIXEL_NM, image_centre_um)[0] for theta in angles_deg]
    return Scan(scene, np.array(angles_deg), np.stack(images), centre_px)


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Slices this small only make a second thread spin."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def full_scan() -> Scan:
    return scan(np.arange(90) * 2.0)


@pytest.fixture(scope="session")
def make_scan() -> Callable[..., Scan]:
    """``make_scan(angles_deg, centre_px, shape)``."""
    return scan
