"""Grains that are not there are denied where the counts allow it, and hardly anything else is."""

import pytest

from models.superres.evaluation.compare import Plan
from models.superres.evaluation.guard import TRUTH, Grain, Guarded, plant_grains
from models.superres.evaluation.held_out import held_out_probe, xrf_like
from models.superres.lmmse import LmmseEnhancer


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan({"lmmse": LmmseEnhancer()}, {"A": held_out_probe("A")}, [300.0], {"xrf-like": xrf_like}, 1, 40)


def _by_lmmse(plan: Plan, grain: Grain) -> Guarded:
    results = {result.enhancer: result for result in plant_grains(plan, grain, 10)}
    return results["lmmse"]


def test_large_grains_are_found_and_nothing_else(plan: Plan) -> None:
    result = _by_lmmse(plan, Grain(60.0, 0.5))
    assert result.found == result.planted == 10
    assert result.false_share < 0.01


def test_grains_that_hardly_change_a_reading_are_not(plan: Plan) -> None:
    assert _by_lmmse(plan, Grain(15.0, 0.05)).found <= 1


def test_what_could_be_found_at_best_stands_beside_it(plan: Plan) -> None:
    truth, _ = plant_grains(plan, Grain(60.0, 0.5), 10)
    assert truth.enhancer == TRUTH
    assert truth.found == 10
    assert truth.false_share < 0.02
