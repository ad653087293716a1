"""The experiments of the papers run from end to end, at sizes that tell nothing of physics.

pytest tests/benchmarks/test_papers.py -o addopts=--import-mode=importlib
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("papers.py")


@pytest.mark.parametrize(("experiment", "pictures"), [("coarse", 2), ("ablation", 0)])
def test_an_experiment_writes_its_table_every_figure_and_its_pictures(
    experiment: str, pictures: int, tmp_path: Path
) -> None:
    asked = [sys.executable, str(SCRIPT), experiment, "--size", "tiny", "--out", str(tmp_path)]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads((tmp_path / f"{experiment}.json").read_text())
    table = (tmp_path / f"{experiment}.md").read_text()
    assert said["figures"]
    assert any("seed" in name for name in said["setting"])
    assert table.count("\n| ") > 4
    assert table.strip() == ran.stdout.strip()
    drawn = list(tmp_path.glob("*.png"))
    assert len(drawn) == pictures
    assert all(0 < picture.stat().st_size < 300_000 for picture in drawn)
