"""Frames that cannot be used say why."""

from dataclasses import replace

import numpy as np
import pytest

from models.ptychography.frames import Frames


@pytest.fixture
def frames() -> Frames:
    return Frames(np.ones((25, 8, 8), np.float32), np.zeros((25, 2)), (0.0, 4.0), 10.0, 10.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"counts": np.ones((25, 8, 6), np.float32)}, "even n is needed"),
        ({"counts": np.ones((25, 7, 7), np.float32)}, "even n is needed"),
        ({"counts": np.ones((19, 8, 8), np.float32)}, "at least 20"),
        ({"counts": np.full((25, 8, 8), np.nan, np.float32)}, "mask those pixels"),
        ({"counts": np.full((25, 8, 8), -1, np.float32)}, "mask those pixels"),
        ({"counts": np.zeros((25, 8, 8), np.float32)}, "every frame is empty"),
        ({"positions_px": np.zeros((24, 2))}, "for 25 frames"),
        ({"positions_px": np.full((25, 2), np.nan)}, "leave those points out"),
        ({"positions_px": np.linspace(0, 1e6, 50).reshape(25, 2)}, "check their unit"),
        ({"fly_px": (1.0, 4.0)}, "along y or along x"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm is 0.0"),
        ({"energy_kev": -1.0}, "energy_kev is -1.0"),
        ({"mask": np.zeros((8, 8), np.bool_)}, "True is where the detector counts"),
        ({"mask": np.ones((4, 4), np.bool_)}, "mask has shape"),
        ({"background": np.ones((4, 4), np.float32)}, "background has shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused(frames: Frames, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(frames, **changes)  # type: ignore[arg-type]


def test_masked_pixels_may_hold_anything(frames: Frames) -> None:
    mask = np.ones((8, 8), np.bool_)
    mask[2, 3] = False
    counts = frames.counts.copy()
    counts[:, 2, 3] = np.nan
    seen = replace(frames, counts=np.nan_to_num(counts), mask=mask)
    assert replace(seen, counts=counts).mask is mask
    assert seen.photons() == 63
