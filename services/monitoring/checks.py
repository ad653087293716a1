"""What a process is asked for by probes: does it live, is it ready, and if not, why."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

Check = Callable[[], str]
"""Says what is wrong in words that anybody may read; nothing where all is well."""


def look(checks: Mapping[str, Check]) -> tuple[HTTPStatus, dict[str, object]]:
    """Status and JSON body of an answer: 200, or 503 with what is wrong by the name of each check."""
    problems = {name: said for name, check in checks.items() if (said := check())}
    if problems:
        return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unavailable", "problems": problems}
    return HTTPStatus.OK, {"status": "ok"}
