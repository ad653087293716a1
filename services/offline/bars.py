"""Progress bars for computations that tell the fraction they have done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from models.tomo.interruption import Progress
from services.offline.tilt_geometry import Following


@contextmanager
def progress_bars(console: Console) -> Iterator[Following]:
    """Gives a bar to each computation that asks for one; they go when all is done, lines printed above them stay."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    seen = console.is_terminal
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not seen) as bars:

        def following(what: str) -> Progress:
            task = bars.add_task(escape(what), total=1.0)
            return lambda fraction: bars.update(task, completed=fraction)

        yield following


def staged(following: Following) -> Callable[[str, float], None]:
    """For computations that also tell which stage they are at: a bar for each, made when it begins."""
    bars: dict[str, Progress] = {}

    def progress(stage: str, fraction: float) -> None:
        if stage not in bars:
            bars[stage] = following(stage)
        bars[stage](fraction)

    return progress
