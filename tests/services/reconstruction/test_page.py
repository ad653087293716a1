"""The page: served whole from here, safe to hold a key, and working in a browser."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from services.reconstruction import app

WEB = Path(app.__file__).with_name("web")


needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no Chromium on PATH: install it to test the page"
)


def _shown(url: str, profile: Path) -> str:
    """What a browser makes of a page."""
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    return subprocess.run(
        [*command, "--virtual-time-budget=1500", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_come_without_a_key_and_let_nothing_foreign_in(service: str, page: str) -> None:
    answer = httpx.get(service + page)
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for asset in re.findall(r'(?:src|href)="(static/[^"]+)"', answer.text):
        assert httpx.get(f"{service}/{asset}").status_code == 200


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_parsed_as_html() -> None:
    for file in WEB.iterdir():
        text = file.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), file.name


@needs_chromium
@pytest.mark.chromium
def test_a_browser_shows_the_series_and_takes_the_key_out_of_the_address(
    service: str, series_key: str, tmp_path: Path
) -> None:
    shown = _shown(f"{service}/#key=secret", tmp_path)
    assert series_key in shown
    assert "8 of 8 angles" in shown
    assert "NeXus file" in shown
    assert "secret" not in shown


@needs_chromium
@pytest.mark.chromium
def test_the_documentation_page_explains_every_operation(service: str, tmp_path: Path) -> None:
    shown = _shown(f"{service}/docs", tmp_path)
    for path in httpx.get(f"{service}/api/v1/openapi.json").json()["paths"]:
        assert path in shown
