"""The specimens by name: one analytic scene each, seen from any angle or cut into any voxels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from models.phantoms.cathode import zn_mn_cathode
from models.phantoms.intervals import Field
from models.phantoms.mixed_cathode import mixed_cathode, mixed_cathode_with_decoy
from models.phantoms.nmc import nmc_particle
from models.phantoms.projection import areal_density_ug_cm2, voxel_density_g_cm3
from models.phantoms.shapes import Scene
from models.phantoms.star import siemens_star


@dataclass(frozen=True, eq=False)
class Specimen:
    """A named scene: its projections and its voxels are the same truth.

    Attributes:
        name: as in ``SPECIMENS``.
        seed: it was made from; the same seed gives the same specimen.
        scene: the bodies it is made of.
    """

    name: str
    seed: int
    scene: Scene

    @property
    def elements(self) -> tuple[str, ...]:
        """Names in the order of the first axis of everything below."""
        return self.scene.elements

    def areal_density_ug_cm2(
        self,
        theta_deg: float,
        shape: tuple[int, int],
        pixel_size_nm: float,
        centre_um: tuple[float, float] = (0.0, 0.0),
    ) -> Field:
        """Pixel averages at one angle, (element, y, x); ``centre_um`` is (y, x) of the middle of the image."""
        return areal_density_ug_cm2(self.scene, theta_deg, shape, pixel_size_nm, centre_um)

    def density_g_cm3(
        self, shape: tuple[int, int, int], voxel_size_nm: float, centre_um: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> Field:
        """Voxel averages, (element, z, y, x); ``centre_um`` is (z, y, x) of the middle of the volume."""
        return voxel_density_g_cm3(self.scene, shape, voxel_size_nm, centre_um)


SPECIMENS: dict[str, Callable[[int], Scene]] = {
    "zn-mn-cathode": zn_mn_cathode,
    "nmc-particle": nmc_particle,
    "siemens-star": siemens_star,
    "mixed-cathode": mixed_cathode,
    "mixed-cathode-decoy": mixed_cathode_with_decoy,
}


@lru_cache(maxsize=8)
def make_specimen(name: str, seed: int) -> Specimen:
    """The specimen of that name grown from that seed, once per process.

    Raises:
        ValueError: there is no specimen of that name.
    """
    if name not in SPECIMENS:
        raise ValueError(f"there is no specimen {name!r}: choose one of {', '.join(sorted(SPECIMENS))}")
    return Specimen(name, seed, SPECIMENS[name](seed))
