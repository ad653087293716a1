"""What a structured-illumination run says of itself."""

import json
from dataclasses import replace
from typing import Any

import pytest

from models.run_schema import XrfDetector
from models.structured_schema import EQUAL_FLUX, StructuredStart

START = StructuredStart(
    sample_name="mixed cathode",
    energy_kev=9.0,
    elements=("Mn", "Co", "Ni"),
    shape=(80, 60),
    pixel_size_nm=100.0,
    n_patterns=240,
    dwell_s=1.0,
    camera_s=0.1,
    i0_nominal=1e7,
    photons_per_pattern=1e9,
    detector=XrfDetector(n_channels=2048),
    grits=("fine", "coarse"),
    phases=("LiCoO2", "LiNiO2"),
)


def test_a_start_survives_json() -> None:
    for one in (START, replace(START, phases=(), theta_deg=30.0)):
        assert StructuredStart.from_metadata(json.loads(json.dumps(one.to_metadata()))) == one


def test_it_states_purpose_sampling_ratio_and_how_dose_is_told() -> None:
    told = START.to_metadata()
    assert (told["purpose"], told["sampling_ratio"], told["dose_convention"]) == ("structured", 0.05, EQUAL_FLUX)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"purpose": "coarse"}, "purpose is 'coarse'"),
        ({"elements": []}, "elements is empty"),
        ({"elements": "Mn"}, "elements is 'Mn'"),
        ({"grits": ["fine", "fine"]}, "grits has 2 entries"),
        ({"phases": [1]}, "phases is"),
        ({"shape": [80]}, "malformed"),
        ({"shape": [0, 80]}, "at least 1"),
        ({"n_patterns": 0}, "at least 1"),
        ({"n_patterns": 10**8}, "GiB"),
        ({"dwell_s": 0.0}, "dwell_s is 0.0"),
        ({"i0_nominal": float("nan")}, "i0_nominal is nan"),
        ({"energy_kev": -9.0}, "energy_kev"),
        ({"theta_deg": float("inf")}, "theta_deg"),
        ({"sample_name": ""}, "sample_name"),
        ({"xrf_detector": {"n_detectors": 0}}, "n_detectors"),
    ],
)
def test_what_cannot_be_believed_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        StructuredStart.from_metadata(START.to_metadata() | changes)


def test_a_missing_key_is_named() -> None:
    told = START.to_metadata()
    del told["camera_s"]
    with pytest.raises(ValueError, match="no camera_s: a structured-illumination run needs"):
        StructuredStart.from_metadata(told)
