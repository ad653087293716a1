"""An algorithm's parameters as options of the command line."""

from collections.abc import Mapping
from typing import Any

from models.tomo.algorithms import ALGORITHMS
from services.reconstruction.parameters import checked_parameters, parameter_model

OPTIONS = {
    "n_iterations": "--iterations",
    "n_subsets": "--subsets",
    "order": "--order",
    "beta": "--beta",
    "delta": "--delta",
    "tolerance": "--tolerance",
    "window": "--window",
    "cutoff": "--cutoff",
    "engine": "--engine",
}
"""By the parameter's name."""


def chosen_parameters(algorithm: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of an algorithm, defaults filled in; None where it will be chosen from the data.

    Args:
        algorithm: by name.
        given: by parameter; None: not given.

    Raises:
        ValueError: there is no such algorithm, it has no such parameter, or a value is out of range.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"there is no algorithm {algorithm!r}: choose one of {', '.join(ALGORITHMS)}")
    known = parameter_model(algorithm).model_fields
    values = {name: value for name, value in given.items() if value is not None}
    if values.get("engine") == "auto":
        del values["engine"]  # every algorithm can do that
    if unknown := [OPTIONS[name] for name in values if name not in known]:
        had = ", ".join(OPTIONS.get(name, name) for name in known) or "none"
        raise ValueError(f"{algorithm} takes no {', '.join(unknown)}: its options are {had}")
    return checked_parameters(algorithm, values)
