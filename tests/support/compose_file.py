"""docker-compose.yml as data: what each service runs, with the variables of an environment put in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
MULTI_USER_FILE = ROOT / "deploy/multi-user.yml"
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<text>[^}]*))?\})")


@dataclass(frozen=True)
class Service:
    """What compose would start."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def compose_document(file: Path = COMPOSE_FILE) -> dict[str, Any]:
    """A whole file, its anchors resolved, its variables not."""
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def read_service(name: str, variables: Mapping[str, str]) -> Service:
    """A service with its variables put in.

    Raises:
        ValueError: a variable that must be set is not; the text is the one compose would show.
    """
    service = _with_variables(compose_document()["services"][name], variables)
    return Service(tuple(service.get("command", ())), service.get("environment", {}))


def variables_of(text: str) -> dict[str, str]:
    """Each variable of a text, and how it is used: `:-` with a default, `:?` demanded, or empty."""
    found = [match for match in _VARIABLE.finditer(text) if match["name"]]
    return {match["name"]: match["how"] or "" for match in reversed(found)}


def _with_variables(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_variables(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_variables(item, variables) for item in value]
    return _VARIABLE.sub(lambda match: _value(match, variables), value) if isinstance(value, str) else value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["name"] is None:
        return "$"
    given = variables.get(match["name"], "")
    if not given and match["how"] == ":?":
        raise ValueError(f"{match['name']}: {match['text']}")
    return given or (match["text"] if match["how"] == ":-" else "")
