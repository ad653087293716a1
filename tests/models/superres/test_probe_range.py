"""Widths of kernels, and the warning about one that a training never met."""

import numpy as np
import pytest

from models.physics.flyscan import scan_kernel
from models.physics.probe import gaussian_probe
from models.superres.probe_range import outside, range_of, widened, widths_steps


@pytest.mark.parametrize("fwhm_nm", [45.0, 90.0])
def test_width_of_a_gaussian_is_its_own_with_the_sampling(fwhm_nm: float) -> None:
    kernel = scan_kernel(gaussian_probe(fwhm_nm, n=128, pixel_size_nm=7.5).intensity(), 4, "step")
    narrow, wide = widths_steps(kernel, 4)
    assert narrow == pytest.approx(wide, rel=1e-3)
    assert narrow * 30 == pytest.approx(fwhm_nm, rel=0.03)


def test_motion_widens_one_axis() -> None:
    kernel = scan_kernel(gaussian_probe(45.0, n=64, pixel_size_nm=7.5).intensity(), 4, "fly")
    narrow, wide = widths_steps(kernel, 4)
    assert (wide**2 - narrow**2) * 30**2 == pytest.approx(2.3548**2 * 30**2 / 12, rel=0.05)


def test_only_strangers_are_warned_of() -> None:
    kernels = [
        scan_kernel(gaussian_probe(f, n=128, pixel_size_nm=7.5).intensity(), 4, "fly") for f in (30, 50, 70, 100)
    ]
    known = range_of(kernels[:3], 4)
    assert [bool(outside(kernel, 4, known)) for kernel in kernels] == [False, False, False, True]
    assert "outside the training range" in outside(np.asarray(kernels[3]), 4, known)


def test_a_widened_range_holds_what_it_was_widened_by_and_what_it_held() -> None:
    known = ((1.0, 2.0), (1.0, 3.0))
    wide = scan_kernel(gaussian_probe(fwhm_nm=150.0, energy_kev=10.0, n=128, pixel_size_nm=7.5).intensity(), 4, "fly")
    assert outside(wide, 4, known)
    widened_by = widened(known, [wide], 4)
    assert not outside(wide, 4, widened_by)
    for (least, most), (new_least, new_most) in zip(known, widened_by, strict=True):
        assert new_least <= least
        assert new_most >= most
