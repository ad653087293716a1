"""Engine parameters are what the engine's signature says, and errors say what is allowed."""

import pytest

from services.reconstruction.parameters import checked_parameters, parameter_model


def test_defaults_are_filled_in() -> None:
    assert checked_parameters("fbp", {}) == {"window": "ramp", "cutoff": 1.0}


def test_the_schema_tells_choices_and_ranges() -> None:
    properties = parameter_model("fbp").model_json_schema()["properties"]
    assert properties["window"]["enum"] == ["ramp", "shepp-logan", "cosine", "hann"]
    assert (properties["cutoff"]["exclusiveMinimum"], properties["cutoff"]["maximum"]) == (0, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beta": 1}, "beta: .*Allowed are window, cutoff"),
        ({"window": "hamming"}, "'ramp', 'shepp-logan', 'cosine' or 'hann'"),
        ({"cutoff": 0}, "greater than 0"),
        ({"cutoff": float("nan")}, "cutoff"),
        ({"cutoff": 10**400}, "cutoff"),
        ({"cutoff": [1]}, "cutoff"),
        ({"progress": 1}, "progress"),
    ],
)
def test_what_the_engine_does_not_take_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_parameters("fbp", given)
