"""The parameters of each engine, read off the signature of its `reconstruct`: a new engine needs no line here."""

import inspect
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from models.tomo.engines import ENGINES

_NOT_FOR_CALLERS = frozenset({"progress", "cancelled"})


@cache
def parameter_model(engine: str) -> type[BaseModel]:
    """The pydantic model of an engine's keyword-only arguments."""
    reconstruct = ENGINES[engine].reconstruct
    types = get_type_hints(reconstruct, include_extras=True)
    parameters = inspect.signature(reconstruct).parameters.values()
    fields: dict[str, Any] = {
        parameter.name: (types[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in _NOT_FOR_CALLERS
    }
    config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    return create_model(f"{engine.capitalize()}Parameters", __config__=config, **fields)


def checked_parameters(engine: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every parameter of an engine, defaults filled in.

    Raises:
        ValueError: a parameter is unknown or its value wrong; the message says what is allowed.
    """
    model = parameter_model(engine)
    try:
        return model.model_validate(given).model_dump()
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        allowed = ", ".join(model.model_fields) or "none"
        raise ValueError(f"parameters of {engine}: {said}. Allowed are {allowed}") from error
