import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.stack.processes import console_script


def _run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [console_script("subprobe"), *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_help_teaches_every_command(tmp_path: Path) -> None:
    done = _run("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in (
        "up",
        "down",
        "status",
        "shell",
        "demo",
        "worker",
        "serve",
        "reconstruct",
        "resolution",
        "export",
        "prune",
        "probe",
        "enhance",
        "train",
        "finetune",
        "evaluate",
    ):
        assert f" {command} " in done.stdout


def test_the_command_starts_without_the_heavy_libraries() -> None:
    code = "import sys, services.cli; print([name for name in ('torch', 'tiled', 'bluesky') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status",), "subprobe up --folder"),
        (("--config", "none.yml", "status"), "no settings file at none.yml"),
        (("reconstruct", "7-cathode"), "subprobe up --folder"),
        (("prune",), "subprobe up --folder"),
        (("finetune", "--series", "7-cathode"), "subprobe up --folder"),
        (("probe", "import", "none.npz"), "does not exist"),
        (("probe", "import", "without-pixel.npz"), "without-pixel.npz: the file does not say how large a pixel of"),
        (("probe", "import", "without-pixel.npz", "--probe-pixel-nm", "5"), "pass --probe-energy-kev"),
        (("--log-level", "LOUD", "worker"), "pass DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_an_error_of_the_user_is_one_clear_line_and_no_traceback(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "without-pixel.npz", probe=np.ones((8, 8), np.complex64))
    done = _run(*arguments, folder=tmp_path)
    assert done.returncode in (1, 2)
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_down_without_a_stack_says_so(tmp_path: Path) -> None:
    done = _run("down", "--folder", "data", folder=tmp_path)
    assert done.returncode == 0
    assert "nothing runs in" in done.stdout


def test_the_demo_never_empties_a_folder_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    done = _run("demo", "--folder", str(tmp_path), folder=tmp_path)
    assert done.returncode == 1
    assert "pass another --folder" in " ".join(done.stderr.split())
    assert (tmp_path / "thesis.tex").exists()
