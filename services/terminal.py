"""What the commands share: consoles, settings from the options before a command, and how errors and signals end one."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from services.errors import SubprobeError
from services.settings import Settings, load_settings

log = logging.getLogger(__name__)

console = Console()
error_console = Console(stderr=True)

FolderOption = Annotated[Path | None, typer.Option("--folder", "-f", help="Folder of the stack: data, logs, key.")]


@dataclass(frozen=True)
class Context:
    """What every command gets from the options before it."""

    config: Path | None
    log_level: str

    def settings(self, overrides: dict[str, Any] | None = None) -> Settings:
        """Settings with this command's own options on top; options not given do not count."""
        return load_settings(self.config, _without_none(overrides or {}))


def stack_settings(context: typer.Context, folder: Path | None) -> Settings:
    """Settings of a client of a running stack: address and key come from its folder unless they are given."""
    from services.stack.address import with_stack_address

    settings: Settings = context.obj.settings({"folder": folder})
    return with_stack_address(settings)


@contextmanager
def ended_by_signals(exit_code: int) -> Iterator[None]:
    """SIGTERM and SIGINT end like Ctrl-C: through every context manager, so that nothing half-done is left."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Both: a shell's background jobs inherit SIGINT ignored.
    before = {signum: signal.signal(signum, interrupt) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt as stop:
        error_console.print("stopped")
        raise typer.Exit(exit_code) from stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def wrong_input_in_one_line() -> Iterator[None]:
    """A file or an option that is not what it should be ends the command with one line and exit code 2."""
    try:
        yield
    except (SubprobeError, ValueError, OSError) as error:
        print_error(error)
        raise typer.Exit(2) from error


def print_error(error: Exception) -> None:
    """One line; the traceback is for the log at DEBUG."""
    log.debug("traceback of the error below", exc_info=True)
    error_console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _without_none(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in nested.items() if value not in (None, {})}
