"""What a visiting user sees: the Tiled web client in a real browser."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running_stack import RunningStack

from services.catalog.client import Catalog
from services.catalog.records import SeriesRecord

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_LOOKS = 3  # headless Chromium may look before a busy machine has drawn the page
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: install it to test the web client"),
]


def _look(url: str, folder: Path) -> tuple[str, np.ndarray]:
    """Open a page, let its scripts run, and come back with its text and its picture, (y, x) grey."""
    picture = folder / "page.png"
    page = _chromium(folder, "--dump-dom", url)
    _chromium(folder, f"--screenshot={picture}", url)
    return page, np.asarray(Image.open(picture).convert("L"))


def _chromium(folder: Path, *arguments: str) -> str:
    """A browser that has never been here: with the key in its cookies already, the client asks to log in."""
    profile = tempfile.mkdtemp(dir=folder)
    settings = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,900",
        f"--user-data-dir={profile}",
    ]
    patience = "--virtual-time-budget=20000"
    done = subprocess.run(
        [str(CHROMIUM), *settings, patience, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def _browse(stack: RunningStack, path: str) -> str:
    tiled = stack.settings().tiled
    return f"{str(tiled.uri).rstrip('/')}/ui/browse/{path}?api_key={tiled.api_key.get_secret_value()}"


def test_the_enhanced_stack_shows_as_a_picture_with_a_slider_over_angles(
    stack: RunningStack, series: SeriesRecord, tmp_path: Path
) -> None:
    url = _browse(stack, f"processed/{series.key}/enhanced/Zn")
    for _ in range(_LOOKS):
        text, picture = _look(url, tmp_path)
        canvas = picture[200:650, 350:850]
        if "3-dimensional array" in text and len(np.unique(canvas)) > 50:
            break
    assert series.key in text
    assert "3-dimensional array" in text
    assert len(np.unique(canvas)) > 50, "the map is drawn in many greys"
    assert canvas.std() > 10


@pytest.mark.usefixtures("series")
def test_the_run_opens_with_its_streams(stack: RunningStack, catalog: Catalog, tmp_path: Path) -> None:
    run_uid = catalog.raw.keys().last()
    text, _ = _look(_browse(stack, f"raw/{run_uid}"), tmp_path)
    assert "xrf" in text
    assert "baseline" in text
