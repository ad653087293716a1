from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from services.offline.picture import ElementRow, bar_length_nm, draw_maps


@pytest.mark.parametrize("shape", [(40, 4), (1, 1)])
def test_a_picture_shows_maps_of_any_shape(tmp_path: Path, shape: tuple[int, int]) -> None:
    assert _drawn(tmp_path / "maps.partial", shape, n=1)[..., :3].std() > 0


def test_every_element_gets_a_row(tmp_path: Path) -> None:
    one, two = (len(_drawn(tmp_path / "maps.png", (4, 40), n)) for n in (1, 2))
    assert two > 1.5 * one


def _drawn(path: Path, shape: tuple[int, int], n: int) -> NDArray[np.float32]:
    coarse = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    fine = np.kron(coarse, np.ones((2, 2), np.float32))
    coarse[0, 0] = np.nan
    draw_maps([ElementRow(f"E{index}", "counts", coarse, fine, np.sqrt(fine)) for index in range(n)], 30.0, 2, path)
    return np.asarray(imread(path, format="png"))


@pytest.mark.parametrize("width_nm", [1.0, 30.0, 599.0, 600.0, 4200.0, 1e6])
def test_the_scale_bar_is_round_and_fits(width_nm: float) -> None:
    length = bar_length_nm(width_nm)
    assert width_nm / 7.6 < length <= width_nm / 3
    assert f"{length:e}"[:8] in {"1.000000", "2.000000", "5.000000"}
