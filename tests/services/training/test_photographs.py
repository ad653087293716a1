"""Photographs are read as grey maps, when needed, and only while they fit into memory."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.training import photographs
from services.training.photographs import ImageFolder, PhotographError


def _draw(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_pictures_of_all_folders_below_are_grey_between_0_and_1(tmp_path: Path) -> None:
    _draw(tmp_path / "DIV2K_train_HR" / "0001.png", (255, 255, 255))
    _draw(tmp_path / "DIV2K_train_HR" / "0002.png", (0, 0, 0))
    _draw(tmp_path / "more" / "deep" / "x.JPG", (255, 0, 0))
    (tmp_path / "notes.txt").write_text("no picture")
    folder = ImageFolder(tmp_path)
    assert len(folder) == 3
    assert [image.shape for image in (folder[0], folder[1], folder[2])] == [(4, 6)] * 3
    assert folder[0].dtype == np.float32
    assert [float(folder[index].mean()) for index in range(3)] == pytest.approx([1, 0, 0.299], abs=0.01)
    assert "3 photographs of " in folder.description


def test_the_description_changes_with_the_pictures(tmp_path: Path) -> None:
    _draw(tmp_path / "a.png", (1, 2, 3))
    first = ImageFolder(tmp_path).description
    assert ImageFolder(tmp_path).description == first
    _draw(tmp_path / "a.png", (1, 2, 3), size=(60, 40))
    assert ImageFolder(tmp_path).description != first


def test_what_does_not_fit_into_memory_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in range(3):
        _draw(tmp_path / f"{level}.png", (level, level, level))
    monkeypatch.setattr(photographs, "_KEPT_BYTES", 2 * 24)
    folder = ImageFolder(tmp_path)
    assert [round(255 * float(folder[index].mean())) for index in (0, 1, 2)] == [0, 1, 2]
    (tmp_path / "2.png").unlink()
    assert folder[2].max() > 0
    (tmp_path / "0.png").unlink()
    with pytest.raises(PhotographError, match=r"0\.png"):
        folder[0]


def test_a_folder_without_pictures_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match=r"no \.jpg or \.png below"):
        ImageFolder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(PhotographError, match=r"broken\.png is no picture"):
        ImageFolder(tmp_path)[0]
