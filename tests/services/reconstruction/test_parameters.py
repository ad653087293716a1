"""Parameters are what the algorithm's signature says, and errors say what is allowed."""

import pytest

from services.reconstruction.parameters import checked_parameters, parameter_model


def test_defaults_are_filled_in() -> None:
    assert checked_parameters("fbp", {}) == {"window": "ramp", "cutoff": 1.0}


def test_the_schema_tells_choices_and_ranges() -> None:
    properties = parameter_model("fbp").model_json_schema()["properties"]
    assert properties["window"]["enum"] == ["ramp", "shepp-logan", "cosine", "hann"]
    assert (properties["cutoff"]["exclusiveMinimum"], properties["cutoff"]["maximum"]) == (0, 1)


def test_what_is_left_open_is_null_and_may_be_given() -> None:
    assert checked_parameters("ospml_hybrid", {"beta": 0.5}) == {
        "n_iterations": 20,
        "n_subsets": None,
        "order": "interleaved",
        "beta": 0.5,
        "delta": None,
        "tolerance": 0.0,
        "engine": "auto",
    }
    assert "beta" not in checked_parameters("osem", {})
    with pytest.raises(ValueError, match="greater than 0"):
        checked_parameters("ospml_hybrid", {"delta": 0})


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
def test_what_the_algorithm_does_not_take_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_parameters("fbp", given)
