"""How start documents are checked: what every kind of run has in common."""

from collections.abc import Mapping, Sequence
from typing import Any

# Bounds of what is believed: beyond them is a mistake or worse.
LONGEST_NAME = 200  # letters of a name or uid
MOST_NAMES = 100  # in a list, of elements for example
HIGHEST_ENERGY_KEV = 1000.0


def check_present(start: Mapping[str, Any], needed: Sequence[str], kind: str) -> None:
    """Whether a start document has all keys that a kind of run needs.

    Raises:
        ValueError: it has not; the message names them.
    """
    missing = [key for key in needed if key not in start]
    if missing:
        raise ValueError(f"start document has no {', '.join(missing)}: a {kind} run needs them")


def pair(values: Any, kind: type) -> tuple[Any, Any]:
    """Two numbers of one kind.

    Raises:
        ValueError: there are not two, or one is no number.
    """
    first, second = values
    return kind(first), kind(second)


def names_in(key: str, values: Any) -> tuple[str, ...]:
    """The words under a key of a start document, each once: symbols of elements, for example.

    Raises:
        ValueError: they are no such list.
    """
    if isinstance(values, str | Mapping) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} is {short(values)}: expected a list of words")
    if len(values) > MOST_NAMES or len(set(values)) != len(values):
        raise ValueError(f"{key} has {len(values)} entries: expected at most {MOST_NAMES}, each once")
    return tuple(values)


def check_energy(energy_kev: float) -> None:
    """Whether photons can have this energy.

    Raises:
        ValueError: they cannot.
    """
    if not 0 < energy_kev <= HIGHEST_ENERGY_KEV:
        raise ValueError(f"energy_kev is {energy_kev}: expected a positive number up to {HIGHEST_ENERGY_KEV:g}")


def check_names(start: Any, needed: Sequence[str], optional: Sequence[str]) -> None:
    """What people and other processes will read: words that fit into a line, a key of the catalogue and a request."""
    for name in (*needed, *optional):
        value = getattr(start, name)
        if value is None and name in optional:
            continue
        if not (isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()):
            raise ValueError(f"{name} is {short(value)}: expected 1 to {LONGEST_NAME} printable letters")


def told(error: Exception) -> str:
    """What an error says, cut where nobody would read on."""
    return str(error) if len(str(error)) <= LONGEST_NAME else f"{str(error)[:LONGEST_NAME]}..."


def short(value: Any) -> str:
    """A value as it came, unless it is so long that nobody would read it."""
    try:
        shown = repr(value)
    except ValueError:  # a whole number of more than 4300 digits
        shown = f"a number of {value.bit_length()} bits"
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}..."
