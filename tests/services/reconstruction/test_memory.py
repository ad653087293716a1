"""What a job takes is known before it starts."""

import pytest

from services.catalog.records import SeriesRecord
from services.reconstruction.compute import IN_PROCESS
from services.reconstruction.memory import JobMemory, TooLargeError, check_fits, job_memory
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.schemas import ReconstructionRequest

ANGLES = tuple(range(90))
SERIES = SeriesRecord("k", "u", "n", "s", ("Zn", "Mn"), ANGLES, ANGLES, "complete", 90.0, 4, (400, 50), {})
VOLUME_BYTES = 4 * 1600 * 200**2


def memory_of(**wishes: object) -> JobMemory:
    request = ReconstructionRequest.model_validate({"series": "k", **wishes})
    return job_memory(request, SERIES, checked_parameters(request.algorithm, request.parameters))


def bytes_of(**wishes: object) -> int:
    return memory_of(**wishes).here(IN_PROCESS)


def test_a_job_takes_the_fitted_maps_and_a_slab_but_no_volume() -> None:
    memory = memory_of(fsc=False)
    assert 2 * 4 * 90 * 400 * 50 < memory.service_bytes < VOLUME_BYTES
    assert 4 * 64 * (90 * 200 + 200**2) < memory.slab_bytes < VOLUME_BYTES
    taller = SeriesRecord("k", "u", "n", "s", ("Zn", "Mn"), ANGLES, ANGLES, "complete", 90.0, 4, (4000, 50), {})
    request = ReconstructionRequest.model_validate({"series": "k"})
    again = job_memory(request, taller, checked_parameters(request.algorithm, request.parameters))
    assert again.slab_bytes == memory.slab_bytes


def test_more_that_is_asked_for_takes_more_and_coarse_maps_take_little() -> None:
    plain = bytes_of(fsc=False)
    assert bytes_of(fsc=False, elements=["Zn"]) < plain < bytes_of(fsc=True)
    assert plain < bytes_of(fsc=False, angles={"reproject_to": 360})
    assert memory_of(source="fitted").slab_bytes < memory_of().slab_bytes / 4


def test_on_a_cluster_slabs_are_not_the_services_own() -> None:
    memory = memory_of()
    assert memory.here("tcp://somewhere:8786") == memory.service_bytes == bytes_of() - memory.slab_bytes
    assert "for each thread of the workers" in memory.words("tcp://somewhere:8786")


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    check_fits(10**6, 1e9, True)
    with pytest.raises(TooLargeError, match=r"about 2\.00 GB of memory and 1\.00 GB may be taken.*fsc: false"):
        check_fits(2 * 10**9, 1e9, True)
