"""Slabs: cut alike everywhere, and together what the whole would have been."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS, Provenance
from models.tomo.level import Whole, level_of_rows, row_sums, typical_voxel
from models.tomo.likelihood import History
from services.reconstruction.halves import LONGEST_SIDE, box_of
from services.reconstruction.quality import quality_of, slab_sums
from services.reconstruction.shelf import Rows
from services.reconstruction.slabs import cut, provenance_of, slab_rows
from services.reconstruction.views import SlabViews, VolumeViews

ANGLES_DEG = np.arange(12) * 15.0
CENTRE_PX, PIXEL_NM = 10.3, 50.0


@pytest.fixture
def projections() -> NDArray[np.float32]:
    """(angle, y, x), some of them negative."""
    rng = np.random.default_rng(7)
    ball = np.exp(-((np.arange(20) - 9.5) ** 2) / 20)[None, None, :] * np.linspace(1, 9, 50)[None, :, None]
    return np.asarray(ball + rng.normal(0, 0.2, (12, 50, 20)), np.float32)


def test_every_row_is_in_one_slab_and_slabs_are_even() -> None:
    for n_rows, width in ((188, 188), (1, 64), (65, 64), (2000, 2048), (512, 512)):
        slabs = cut(Rows(0, n_rows), width)
        assert [slab.first for slab in slabs[1:]] == [slab.stop for slab in slabs[:-1]]
        assert slabs[-1].stop == n_rows
        assert {slab.count for slab in slabs[:-1]} <= {slab_rows(n_rows, width)}
    assert slab_rows(2000, 2048) == 16
    assert slab_rows(188, 188) == 63


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_slabs_have_the_bytes_of_the_whole(name: str, projections: NDArray[np.float32]) -> None:
    reconstruct = ALGORITHMS[name].reconstruct
    quick = {"n_iterations": 3} if ALGORITHMS[name].capabilities.iterative else {}
    whole = reconstruct(projections, ANGLES_DEG, CENTRE_PX, PIXEL_NM, **quick)
    level = level_of_rows(np.concatenate([row_sums(projections[:, 17:]), row_sums(projections[:, :17])], axis=2), 20)
    assert level == typical_voxel(projections)
    slabs = [
        reconstruct(projections[:, some], ANGLES_DEG, CENTRE_PX, PIXEL_NM, whole=Whole(level), **quick)
        for some in (slice(0, 17), slice(17, 34), slice(34, 50))
    ]
    assert np.concatenate(slabs, axis=1).tobytes() == whole.tobytes()


def test_an_angle_without_any_point_in_a_slab_is_left_out_of_it_but_gaps_of_fbp_must_be_filled_before(
    projections: NDArray[np.float32],
) -> None:
    some = projections[:, :10].copy()
    some[3] = np.nan
    where = ANGLES_DEG, CENTRE_PX, PIXEL_NM
    slab = ALGORITHMS["mlem"].reconstruct(some, *where, n_iterations=20, whole=Whole(1.0))
    kept = np.delete(np.arange(12), 3)
    without = ALGORITHMS["mlem"].reconstruct(some[kept], ANGLES_DEG[kept], *where[1:], n_iterations=20)
    np.testing.assert_allclose(slab, without, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="fill all rows at once before"):
        ALGORITHMS["fbp"].reconstruct(some, *where, whole=Whole(1.0))


def test_the_quality_of_slabs_is_that_of_the_whole(projections: NDArray[np.float32]) -> None:
    volume = np.random.default_rng(1).normal(1, 1, (20, 50, 20)).astype(np.float32)
    projections[2, 40:45] = np.nan
    whole = quality_of([slab_sums(volume, projections * 1.1, projections)])
    parts = [slice(0, 17), slice(17, 50)]
    sums = [slab_sums(volume[:, some], projections[:, some] * 1.1, projections[:, some]) for some in parts]
    assert vars(quality_of(sums)) == pytest.approx(vars(whole))
    assert whole.reprojection_residual == pytest.approx(0.1, rel=1e-5)


def test_views_of_slabs_make_those_of_the_volume_in_any_order() -> None:
    volume = np.random.default_rng(2).normal(size=(6, 50, 7)).astype(np.float32)
    views = VolumeViews((6, 50, 7))
    for some in (Rows(34, 16), Rows(0, 17), Rows(17, 17), Rows(0, 17)):
        views.take(SlabViews.of(volume[:, some.first : some.stop], some, 50))
    images = views.images()
    np.testing.assert_array_equal(images.slices["xy"], volume[3])
    np.testing.assert_array_equal(images.slices["xz"], volume[:, 25])
    np.testing.assert_array_equal(images.slices["yz"], volume[:, :, 3])
    for plane, axis in (("xy", 0), ("xz", 1), ("yz", 2)):
        np.testing.assert_array_equal(images.maxima[plane], volume.max(axis))


def test_histories_add_up_and_those_that_stopped_earlier_keep_their_last_figures() -> None:
    sums = slab_sums(np.ones((2, 2, 2), np.float32), np.zeros((3, 2, 2), np.float32), np.ones((3, 2, 2), np.float32))
    told = [
        (Provenance("numba", None, {"n_subsets": 1}, History((1.0, 2.0), (0.3, 0.1), (0.5, 0.2))), sums),
        (Provenance("numba", None, {"n_subsets": 1}, History((5.0,), (0.4,), (0.1,))), sums),
    ]
    history = provenance_of(told).history
    assert history is not None
    assert history.objective == (6.0, 7.0)
    assert history.misfit == pytest.approx((np.sqrt(0.125), np.sqrt(0.085)))
    assert history.change == (0.5, 0.2)


def test_halves_are_compared_as_a_whole_or_in_the_middle_of_what_is_larger() -> None:
    assert box_of((40, 60)).corners_px == ((0, 60), (0, 40), (0, 60))
    box = box_of((1000, 300))
    assert box.shape == (LONGEST_SIDE, LONGEST_SIDE, LONGEST_SIDE)
    assert box.corners_px == ((22, 278), (372, 628), (22, 278))
