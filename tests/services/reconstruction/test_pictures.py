"""Pictures for people: readable at a glance, honest about what was not measured."""

from io import BytesIO

import numpy as np
from PIL import Image

from services.reconstruction.pictures import render_png


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def test_a_small_map_is_enlarged_pixel_by_pixel() -> None:
    shown = pixels(render_png(np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)))
    assert shown.shape == (128, 128, 4)
    assert len(np.unique(shown.reshape(-1, 4), axis=0)) == 4


def test_a_large_map_is_thinned() -> None:
    assert max(pixels(render_png(np.zeros((700, 1300), np.float32))).shape) <= 512


def test_points_that_were_not_measured_are_transparent() -> None:
    image = np.ones((16, 16), np.float32)
    image[0] = np.nan
    alpha = pixels(render_png(image))[..., 3]
    assert (alpha[:8] == 0).all()
    assert (alpha[8:] == 255).all()
    assert (pixels(render_png(np.full((4, 4), np.nan, np.float32)))[..., 3] == 0).all()


def test_one_hot_pixel_does_not_darken_the_rest() -> None:
    image = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1))
    plain = pixels(render_png(image)).astype(int)
    image[50, 50] = 1e9
    assert np.abs(pixels(render_png(image)).astype(int) - plain)[:, 60:].mean() < 5
