"""Held-out probes have their stated widths, and held-out maps what their names say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from models.superres.evaluation.held_out import (
    IMAGE_CLASSES,
    NOISELESS,
    held_out_probe,
    natural,
    phase_randomised,
    scan_of,
    stripes,
    xrf_like,
)


@pytest.mark.parametrize(("name", "width_nm"), [("A", (39.8, 39.8)), ("C", (38.0, 23.0))])
def test_probes_have_the_widths_of_the_facts(name: str, width_nm: tuple[float, float]) -> None:
    assert held_out_probe(name).fwhm_nm() == pytest.approx(width_nm, rel=0.12)


def test_unknown_probe_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="probe 'Z': choose from A, B, C"):
        held_out_probe("Z")


@pytest.mark.parametrize("kind", sorted(IMAGE_CLASSES))
def test_maps_come_from_their_index(kind: str) -> None:
    first, again, other = (IMAGE_CLASSES[kind](index, 120) for index in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6


def test_random_phases_leave_coarse_structure_alone() -> None:
    spectra = [np.fft.rfft2(draw(0, 128).astype(np.float64)) for draw in (xrf_like, phase_randomised)]
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None, :])
    coarse = (frequency > 0) & (frequency < 0.05)
    cosine = np.abs(np.vdot(spectra[0][coarse], spectra[1][coarse])) / np.prod(
        [np.linalg.norm(spectrum[coarse]) for spectrum in spectra]
    )
    assert cosine > 0.98


def test_stripes_change_no_reading() -> None:
    """They lie beyond the cut-off of the probe: the null space of the scan."""
    probe = held_out_probe("A")
    with_stripes, truth = scan_of(stripes, 0, probe, NOISELESS, 16)
    without, plain = scan_of(lambda index, side: 0.7 * xrf_like(index, side) + 0.15, 0, probe, NOISELESS, 16)
    assert np.abs(truth - plain).max() > 0.1
    assert np.abs(with_stripes.values - without.values).max() < 0.01


def test_photographs_fill_any_side(tmp_path: Path) -> None:
    PillowImage.fromarray(np.arange(100 * 40, dtype=np.uint8).reshape(100, 40)).save(tmp_path / "one.png")
    assert natural(tmp_path)(0, 64).shape == (64, 64)
    with pytest.raises(FileNotFoundError, match="pass a folder of photographs"):
        natural(tmp_path / "nowhere")
