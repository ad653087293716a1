"""Random probes are beams: centred, positive, of unit sum, and as wide as diffraction says."""

import numpy as np
import pytest

from models.superres.pairs.probes import Optics, intensity, largest_side, padded_kernel, random_kernel, random_optics

NO_ABERRATION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_round_pupil_gives_the_airy_width() -> None:
    """Full width at half maximum of an Airy disc: 0.514 / NA edge frequency (Born and Wolf, 8.5.2)."""
    focus = intensity(Optics((0.1, 0.1), False, 0.0, NO_ABERRATION, 0.0))
    cut = np.interp(np.arange(0, 63, 0.01), np.arange(64), focus[32])
    assert (cut > cut.max() / 2).sum() * 0.01 == pytest.approx(0.514 / 0.1, rel=0.05)


def test_square_pupil_is_narrow_along_its_wide_axis() -> None:
    focus = intensity(Optics((0.08, 0.18), True, 0.0, NO_ABERRATION, 0.0))
    assert (focus[32] > focus.max() / 2).sum() < (focus[:, 32] > focus.max() / 2).sum()


@pytest.mark.parametrize("seed", range(6))
def test_foci_are_positive_centred_and_of_unit_sum(seed: int) -> None:
    focus = intensity(random_optics(np.random.default_rng(seed)))
    turn = np.exp(2j * np.pi * (np.arange(64) - 32) / 64)
    assert focus.min() >= 0
    assert focus.sum() == pytest.approx(1)
    assert abs(np.angle(focus.sum(axis=0) @ turn)) * 64 / (2 * np.pi) < 0.3
    assert abs(np.angle(focus.sum(axis=1) @ turn)) * 64 / (2 * np.pi) < 0.3


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_kernels_of_one_scale_fit_into_one_batch(scale: int) -> None:
    rng = np.random.default_rng(scale)
    for _ in range(8):
        pair = random_kernel(rng, scale)
        padded = padded_kernel(pair.true, largest_side(scale))
        assert padded.sum() == pytest.approx(1, abs=1e-4)
        assert pair.told.sum() == pytest.approx(1, abs=1e-4)
        assert np.abs(pair.true - pair.told).sum() < 0.5


def test_kernel_off_the_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="side 5 cannot be centred in 8"):
        padded_kernel(np.ones((5, 5), np.float32), 8)
