"""The analytic projector against closed forms, against its own voxels and against plain inside-tests."""

import numpy as np
import pytest

from models.phantoms.projection import areal_density_ug_cm2, beam_frame, voxel_density_g_cm3
from models.phantoms.shapes import Body, Ellipsoid, HalfSpaces, Scene, Solid, random_rotation

ANGLES_DEG = (0.0, 17.0, 45.0, 90.0, 133.0, -60.0)


def mass_ug(image: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """Of each element, in ug."""
    return image.sum(axis=(-2, -1), dtype=np.float64) * (pixel_size_nm * 1e-7) ** 2


@pytest.mark.parametrize("theta_deg", ANGLES_DEG)
def test_an_ellipsoid_weighs_its_volume_at_every_angle(theta_deg: float) -> None:
    grain = Ellipsoid.from_axes((0.2, -0.1, 0.3), (0.5, 0.3, 0.2), random_rotation(np.random.default_rng(0)))
    scene = Scene(("Zn",), (Body(Solid((grain,)), (2.0,)),))
    image = areal_density_ug_cm2(scene, theta_deg, (90, 120), 20.0)
    volume_cm3 = 4 / 3 * np.pi * 0.5 * 0.3 * 0.2 * 1e-12
    assert mass_ug(image, 20.0) == pytest.approx(2.0 * volume_cm3 * 1e6, rel=2e-3)


@pytest.mark.parametrize("theta_deg", ANGLES_DEG)
def test_a_box_weighs_its_volume_at_every_angle(theta_deg: float) -> None:
    centre = np.array([0.1, 0.2, -0.3])
    box = HalfSpaces.prism(centre, random_rotation(np.random.default_rng(1)), (0.3, 0.2, 0.1))
    scene = Scene(("Zn",), (Body(Solid((Ellipsoid.from_axes(centre, 0.5),), box), (2.0,)),))
    image = areal_density_ug_cm2(scene, theta_deg, (100, 100), 15.0)
    assert mass_ug(image, 15.0) == pytest.approx(2.0 * 0.6 * 0.4 * 0.2 * 1e-12 * 1e6, rel=3e-3)


def test_a_sphere_has_its_diameter_as_central_chord() -> None:
    scene = Scene(("Zn",), (Body(Solid((Ellipsoid.from_axes((0, 0, 0), 0.5),)), (3.0,)),))
    centre = areal_density_ug_cm2(scene, 25.0, (1, 1), 10.0)
    assert centre == pytest.approx(100 * 3.0 * 1.0, rel=1e-3)


def test_a_slab_along_the_beam_is_not_divided_by_zero() -> None:
    box = HalfSpaces.prism(np.zeros(3), np.eye(3), (0.2, 0.3, 0.4))
    scene = Scene(("Zn",), (Body(Solid((Ellipsoid.from_axes(np.zeros(3), 1.0),), box), (1.0,)),))
    image = areal_density_ug_cm2(scene, 0.0, (80, 60), 10.0)[0]
    assert image[10:70, 10:50] == pytest.approx(100 * 0.8, rel=1e-5)
    assert image.sum(dtype=np.float64) == pytest.approx(100 * 0.8 * 60 * 40, rel=1e-5)


@pytest.mark.parametrize(
    ("theta_deg", "point_um"), [(0.0, (0.4, 0.1, -0.3)), (35.0, (0.4, 0.1, -0.3)), (90.0, (0.0, -0.5, 0.6))]
)
def test_a_point_is_seen_at_x_cos_plus_z_sin(theta_deg: float, point_um: tuple[float, float, float]) -> None:
    scene = Scene(("Zn",), (Body(Solid((Ellipsoid.from_axes(point_um, 0.03),)), (1.0,)),))
    image = areal_density_ug_cm2(scene, theta_deg, (160, 200), 10.0)[0].astype(np.float64)
    y_um, u_um = ((np.arange(n) + 0.5 - n / 2) * 0.01 for n in image.shape)
    x, y, z = point_um
    theta = np.deg2rad(theta_deg)
    assert image.sum(axis=0) @ u_um / image.sum() == pytest.approx(x * np.cos(theta) + z * np.sin(theta), abs=1e-4)
    assert image.sum(axis=1) @ y_um / image.sum() == pytest.approx(y, abs=1e-4)


def test_voxels_summed_along_the_beam_are_the_projection_at_zero_degrees(tilted_scene: Scene) -> None:
    volume = voxel_density_g_cm3(tilted_scene, (50, 40, 60), 40.0)
    image = areal_density_ug_cm2(tilted_scene, 0.0, (40, 60), 40.0)
    assert volume.sum(axis=1) * 0.04 * 100 == pytest.approx(image, abs=1e-3 * float(image.max()))


@pytest.mark.parametrize("theta_deg", [30.0, 90.0, 200.0])
def test_points_sampled_along_rotated_rays_add_up_to_the_projection(tilted_scene: Scene, theta_deg: float) -> None:
    shape, pixel_um, n_fine = (14, 18), 0.12, 4
    y, u, w = ((np.arange(n * n_fine) + 0.5 - n * n_fine / 2) * pixel_um / n_fine for n in (*shape, 20))
    seen = np.stack(np.broadcast_arrays(u[None, :, None], y[:, None, None], w[None, None, :]), axis=-1)
    points = seen.reshape(-1, 3) @ beam_frame(theta_deg)
    sampled = tilted_scene.density_at(points).reshape(2, shape[0], n_fine, shape[1], n_fine, -1)
    image = sampled.mean(axis=(2, 4)).sum(axis=-1) * (w[1] - w[0]) * 100
    exact = areal_density_ug_cm2(tilted_scene, theta_deg, shape, pixel_um * 1e3)
    assert np.sqrt(np.mean((image - exact) ** 2)) < 0.02 * exact.max()
    assert image.sum() == pytest.approx(exact.sum(), rel=5e-3)


def test_voxels_agree_with_plain_inside_tests(tilted_scene: Scene) -> None:
    shape, voxel_um, n_fine = (16, 14, 18), 0.1, 4
    z, y, x = ((np.arange(n * n_fine) + 0.5 - n * n_fine / 2) * voxel_um / n_fine for n in shape)
    points = np.stack(np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None]), axis=-1).reshape(-1, 3)
    fine = tilted_scene.density_at(points).reshape(2, 16, n_fine, 14, n_fine, 18, n_fine)
    voxels = voxel_density_g_cm3(tilted_scene, shape, voxel_um * 1e3)
    assert np.sqrt(np.mean((fine.mean(axis=(2, 4, 6)) - voxels) ** 2)) < 0.03


def test_a_coarse_image_is_the_block_mean_of_a_fine_one(tilted_scene: Scene) -> None:
    fine = areal_density_ug_cm2(tilted_scene, 40.0, (80, 100), 20.0)
    coarse = areal_density_ug_cm2(tilted_scene, 40.0, (20, 25), 80.0)
    assert fine.reshape(2, 20, 4, 25, 4).mean(axis=(2, 4)) == pytest.approx(coarse, abs=6e-3 * float(coarse.max()))


def test_a_moved_image_centre_sees_the_same_pixels(tilted_scene: Scene) -> None:
    whole = areal_density_ug_cm2(tilted_scene, 70.0, (40, 50), 40.0)
    part = areal_density_ug_cm2(tilted_scene, 70.0, (10, 20), 40.0, centre_um=(0.2, -0.24))
    assert part == pytest.approx(whole[:, 20:30, 9:29], abs=1e-3)


def test_a_moved_volume_centre_sees_the_same_voxels(tilted_scene: Scene) -> None:
    whole = voxel_density_g_cm3(tilted_scene, (40, 40, 40), 50.0)
    part = voxel_density_g_cm3(tilted_scene, (10, 20, 12), 50.0, centre_um=(0.25, -0.1, 0.3))
    assert part == pytest.approx(whole[:, 20:30, 8:28, 20:32], abs=1e-5)


def test_nothing_is_seen_beside_the_scene(tilted_scene: Scene) -> None:
    assert not areal_density_ug_cm2(tilted_scene, 0.0, (5, 5), 10.0, centre_um=(5.0, 5.0)).any()


def test_an_empty_image_is_refused(tilted_scene: Scene) -> None:
    with pytest.raises(ValueError, match="both must be positive"):
        areal_density_ug_cm2(tilted_scene, 0.0, (0, 5), 10.0)
