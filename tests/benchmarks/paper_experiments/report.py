"""What an experiment found: tables for people, figures for programs, pictures for both."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Cell = str | float | int


def say(words: str) -> None:
    """One line of progress, with the time of day in UTC."""
    print(time.strftime("%H:%M:%S", time.gmtime()), words, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a title and a header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """As in a README."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join([f"**{self.title}**", "", *("| " + " | ".join(map(str, line)) + " |" for line in lines)])


@dataclass(frozen=True)
class Report:
    """Everything that one experiment gives.

    Attributes:
        name: of the experiment, and of its files.
        setting: sizes, seeds, counts, by name.
        tables: in the order of the text.
        figures: every number, by name.
        pictures: drawing functions by file name; each takes the path to write.
    """

    name: str
    setting: dict[str, Any]
    tables: Sequence[Table]
    figures: dict[str, Any]
    pictures: dict[str, Callable[[Path], None]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """``<name>.md``, ``<name>.json`` and the pictures."""
        folder.mkdir(parents=True, exist_ok=True)
        setting = {"commit": commit(), **self.setting}
        words = [f"# {self.name}", "; ".join(f"{key}: {value}" for key, value in setting.items())]
        text = "\n\n".join([*words, *(table.markdown() for table in self.tables)])
        (folder / f"{self.name}.md").write_text(text + "\n", encoding="utf-8")
        said = json.dumps({"setting": setting, "figures": self.figures}, indent=1, default=float)
        (folder / f"{self.name}.json").write_text(said + "\n", encoding="utf-8")
        for name, draw in self.pictures.items():
            draw(folder / name)
        print(text)


def commit() -> str:
    """Of the code that runs."""
    asked = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False).stdout.strip()
