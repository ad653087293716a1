"""`subprobe evaluate` writes a table, every figure and a picture, and says what it does not know."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from rich.console import Console

from services.evaluation.run import EvaluationError, Request, run_evaluation

REQUEST = Request(Path(), ("bicubic", "lmmse"), ("A",), (300.0,), ("xrf-like", "stripes"), n_maps=1, n_grains=2)


def _run(request: Request) -> str:
    output = io.StringIO()
    run_evaluation(request, Console(file=output, width=200))
    return output.getvalue()


def test_table_figures_and_picture_are_written(tmp_path: Path) -> None:
    said = _run(replace(REQUEST, out=tmp_path))
    table = (tmp_path / "table.md").read_text()
    assert "| xrf-like | 300 | A |" in table
    assert "lmmse over" in table
    assert "Grains of 38 nm and 0.3 of the peak" in table
    assert table.splitlines()[2] in said
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["enhancer"], row["image_class"]) for row in rows] == [
        (name, kind) for kind in ("xrf-like", "stripes") for name in ("bicubic", "lmmse")
    ]
    for name in ("panels.png", "halves.png"):
        with PillowImage.open(tmp_path / name) as picture:
            assert picture.width > 500


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ("rocket",)}, "no model 'rocket': pass a weights file or one of lmmse"),
        ({"image_classes": ("clouds",)}, "no maps called clouds: choose from xrf-like"),
        ({"image_classes": ("natural",)}, "--natural FOLDER adds photographs"),
        ({"probes": ("Q",)}, "no held-out probe 'Q'"),
    ],
)
def test_what_does_not_exist_is_named(changes: dict[str, tuple[str]], said: str, tmp_path: Path) -> None:
    with pytest.raises((EvaluationError, ValueError), match=said):
        _run(replace(REQUEST, out=tmp_path, **changes))  # type: ignore[arg-type]
