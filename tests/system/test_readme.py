"""Every command of the README, run as it stands there."""

import re
from pathlib import Path

import pytest
from running_stack import RunningStack

from services.catalog.records import SeriesRecord

README = (Path(__file__).parents[2] / "README.md").read_text()
SH = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _type_into_shell(stack: RunningStack, blocks: list[str], names: dict[str, str]) -> None:
    """Type blocks into `subprobe shell`; nothing may go wrong."""
    assigned = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    typed = assigned + "\n".join(blocks) + "\nprint('typed to the end')\n"
    done = stack.command("shell", "--folder", "subprobe-data", typed=typed)
    assert "typed to the end" in done.stdout, done.stdout + done.stderr
    assert "Error" not in done.stdout, done.stdout


def test_the_make_targets_exist() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


@pytest.mark.usefixtures("series")
def test_every_python_block_of_the_readme_runs(stack: RunningStack) -> None:
    address = {"TILED_URI": str(stack.settings().tiled.uri), "API_KEY": stack.folder.joinpath("api_key").read_text()}
    _type_into_shell(stack, PYTHON, address)


@pytest.mark.parametrize("command", [line for line in SH if not line.startswith("subprobe up")])
def test_every_shell_command_of_the_readme_runs(command: str, stack: RunningStack, series: SeriesRecord) -> None:
    settings = stack.settings()
    service = f"http://{settings.reconstruction.host}:{settings.reconstruction.port}"
    names = {
        "SERIES": series.key,
        "API_KEY": settings.tiled.api_key.get_secret_value(),
        "SERVICE_URI": service,
    }
    done = stack.shell_line(command, names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"status":4' not in done.stdout
