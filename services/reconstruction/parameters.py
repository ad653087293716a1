"""The parameters of each algorithm, read off the signature of its `reconstruct`: a new algorithm needs no line here."""

import inspect
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from models.tomo.algorithms import ALGORITHMS

_NOT_FOR_CALLERS = frozenset({"progress", "cancelled", "account", "whole"})


@cache
def parameter_model(algorithm: str) -> type[BaseModel]:
    """The pydantic model of an algorithm's keyword-only arguments."""
    reconstruct = ALGORITHMS[algorithm].reconstruct
    types = get_type_hints(reconstruct, include_extras=True)
    parameters = inspect.signature(reconstruct).parameters.values()
    fields: dict[str, Any] = {
        parameter.name: (types[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in _NOT_FOR_CALLERS
    }
    config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    return create_model(f"{algorithm.capitalize()}Parameters", __config__=config, **fields)


def checked_parameters(algorithm: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every parameter of an algorithm, defaults filled in.

    Raises:
        ValueError: a parameter is unknown or its value wrong; the message says what is allowed.
    """
    model = parameter_model(algorithm)
    try:
        return model.model_validate(given).model_dump()
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        allowed = ", ".join(model.model_fields) or "none"
        raise ValueError(f"parameters of {algorithm}: {said}. Allowed are {allowed}") from error
