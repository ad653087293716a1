"""What a job takes is known before it starts."""

import pytest

from services.catalog.records import SeriesRecord
from services.reconstruction.memory import TooLargeError, check_fits, job_bytes
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.schemas import ReconstructionRequest

ANGLES = tuple(range(90))
SERIES = SeriesRecord("k", "u", "n", "s", ("Zn", "Mn"), ANGLES, ANGLES, "complete", 90.0, 4, (40, 50), {})


def bytes_of(**wishes: object) -> int:
    request = ReconstructionRequest.model_validate({"series": "k", **wishes})
    return job_bytes(request, SERIES, checked_parameters(request.algorithm, request.parameters))


def test_a_job_takes_at_least_its_stacks_and_volumes() -> None:
    assert bytes_of(fsc=False) > 2 * 4 * (90 * 160 * 200 + 160 * 200**2)


def test_more_that_is_asked_for_takes_more_and_coarse_maps_take_little() -> None:
    plain = bytes_of(fsc=False)
    assert bytes_of(fsc=False, elements=["Zn"]) < plain < bytes_of(fsc=True)
    assert plain < bytes_of(fsc=False, angles={"reproject_to": 360})
    assert bytes_of(source="fitted") < plain / 20


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    check_fits(10**6, 1e9, True)
    with pytest.raises(TooLargeError, match=r"about 2\.00 GB of memory and 1\.00 GB may be taken.*fsc: false"):
        check_fits(2 * 10**9, 1e9, True)
