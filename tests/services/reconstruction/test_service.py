"""The way of a caller: ask, follow, stop, look."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from models.physics.probe import zone_plate_probe
from models.tomo.algorithms import ALGORITHMS
from services.catalog.client import Catalog
from services.catalog.probes import import_probe
from services.catalog.volumes import list_volumes, read_curves, read_volume
from services.settings import Settings

Wait = Callable[..., dict[str, Any]]
PNG = b"\x89PNG"


def test_a_volume_is_asked_for_and_stands_in_tiled(
    api: httpx.Client, series_key: str, tiled_catalog: Catalog, wait_for: Wait
) -> None:
    wanted = {"series": series_key, "algorithm": "fbp", "parameters": {"window": "cosine"}}
    answer = api.post("/reconstructions", json=wanted)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/reconstructions/{job['id']}" == job["links"]["job"]
    assert job["request"]["elements"] == ["Zn", "Mn"]

    done = wait_for(api, job, "succeeded", "failed")

    assert done["state"] == "succeeded", done["error"]
    assert done["result"]["path"] == f"processed/{series_key}/volumes/{job['id']}"
    zinc = read_volume(tiled_catalog, series_key, job["id"], "Zn")
    assert zinc.shape == tuple(done["result"]["shape"]) == (32, 12, 32)
    z, _, x = np.unravel_index(zinc.argmax(), zinc.shape)
    assert ((z - 15.5) * 0.05, (x - 15.5) * 0.05) == pytest.approx((-0.25, 0.2), abs=0.05)
    assert zinc.max() == pytest.approx(2.0, rel=0.2)
    metadata = next(v for v in list_volumes(tiled_catalog, series_key) if v.job_id == job["id"]).metadata
    assert metadata["parameters"] == {"window": "cosine", "cutoff": 1.0}
    assert (metadata["source"], metadata["algorithm"], metadata["voxel_size_nm"]) == ("enhanced", "fbp", 50.0)
    assert metadata["centre_px"] == pytest.approx(16.0, abs=0.1)
    assert len(metadata["angles_deg"]) == 8
    assert metadata["software"]["subprobe"]
    assert (metadata["probe"]["key"], metadata["enhancer"]["name"]) == ("a-probe", "lmmse")
    for kind in ("slice", "maximum"):
        for plane in ("xy", "xz", "yz"):
            assert api.get(f"/reconstructions/{job['id']}/{kind}/Mn/{plane}.png").content.startswith(PNG)
    fitted, enhanced = done["result"]["resolution"]["Zn"]
    assert (fitted["source"], fitted["is_independent"]) == ("fitted", True)
    assert (enhanced["source"], enhanced["is_independent"]) == ("enhanced", False)
    assert metadata["resolution"]["Zn"][0] == fitted
    assert set(metadata["times_s"]) >= {"placing the projections", "reconstructing Zn", "comparing halves of Mn"}
    assert metadata["memory_bytes"] == done["result"]["memory_bytes"] > zinc.nbytes
    curve, shared = read_curves(tiled_catalog, series_key, job["id"], "Zn")
    assert len(curve.values) == len(curve.frequency_per_nm) == len(curve.thresholds["half_bit"]) > 2
    assert curve.metadata["half_bit"] == fitted["half_bit"]
    assert "overstates the resolution" in shared.metadata["note"]
    assert api.get(f"/reconstructions/{job['id']}/resolution/Zn.png").content.startswith(PNG)


def test_events_tell_every_state_and_end_with_the_last(api: httpx.Client, series_key: str) -> None:
    job = api.post(
        "/reconstructions", json={"series": series_key, "elements": ["Zn"], "source": "fitted", "fsc": False}
    ).json()
    with api.stream(
        "GET", f"/reconstructions/{job['id']}/events", headers={"Last-Event-ID": "999999 nonsense"}
    ) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in read_events(stream)]
    states = [event["event"] for event in events]
    assert states[-1] == "succeeded"
    assert set(states) <= {"queued", "running", "succeeded"}
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    told = [json.loads(event["data"]) for event in events]
    assert [item["state"] for item in told] == states
    assert told[-1]["result"]["elements"] == ["Zn"]


def events_of(job: dict[str, Any]) -> str:
    return str(job["links"]["events"]).removeprefix("/api/v1")


def read_events(stream: httpx.Response) -> list[str]:
    return [event for event in "".join(stream.iter_text()).split("\n\n") if event]


def test_a_running_job_is_cancelled_and_leaves_no_volume(
    api: httpx.Client, series_key: str, tiled_catalog: Catalog, wait_for: Wait, patient_algorithm: str
) -> None:
    job = api.post("/reconstructions", json={"series": series_key, "algorithm": patient_algorithm}).json()
    wait_for(api, job, "running")
    assert [running["id"] for running in api.get("/reconstructions?state=running").json()["items"]] == [job["id"]]
    assert api.post(job["links"]["cancel"].removeprefix("/api/v1")).status_code == 202
    wait_for(api, job, "cancelled", within_s=5)
    assert job["id"] not in [volume.job_id for volume in list_volumes(tiled_catalog, series_key)]
    again = api.post(f"/reconstructions/{job['id']}/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "urn:subprobe:problem:already-ended")
    assert api.get(f"/reconstructions/{job['id']}/slice/Zn/xy.png").status_code == 404


def test_series_say_how_complete_they_are(api: httpx.Client, series_key: str, incomplete_series_key: str) -> None:
    page = api.get("/series").json()
    by_key = {series["key"]: series for series in page["items"]}
    assert page["total"] == len(by_key)
    complete, incomplete = by_key[series_key], by_key[incomplete_series_key]
    assert (complete["n_done"], complete["is_complete"], complete["missing_angles"]) == (8, True, [])
    assert (incomplete["n_done"], incomplete["is_complete"], incomplete["missing_angles"]) == (3, False, [2])
    assert incomplete["missing_angles_deg"] == [90.0]
    assert [source["shape"] for source in complete["sources"]] == [[6, 16], [12, 32]]
    assert api.get(f"/series/{complete['series_uid']}").json() == complete
    for source in ("fitted", "enhanced"):
        assert api.get(f"/series/{series_key}/thumbnail/{source}/Zn.png").content.startswith(PNG)
    assert api.get("/series", params={"limit": 1, "offset": 1}).json()["items"] == page["items"][1:2]


def test_re_projections_are_enhanced_in_place_of_the_measured_angles(
    api: httpx.Client, series_key: str, tiled_catalog: Catalog, wait_for: Wait
) -> None:
    import_probe(tiled_catalog, zone_plate_probe(n=32, pixel_size_nm=15.0, n_modes=1), "a-probe")
    wanted = {"series": series_key, "elements": ["Zn"], "parameters": {"n_iterations": 2}, "fsc": False}
    job = api.post("/reconstructions", json=wanted | {"angles": {"reproject_to": 12}, "align": "jitter"}).json()
    done = wait_for(api, job, "succeeded", "failed")
    assert done["state"] == "succeeded", done["error"]
    assert (done["result"]["shape"], done["result"]["n_angles_used"]) == ([32, 12, 32], 8)
    assert done["result"]["largest_shift_px"] < 0.5
    assert "joint reprojection on sum" in done["result"]["centre_reason"]
    metadata = next(v for v in list_volumes(tiled_catalog, series_key) if v.job_id == job["id"]).metadata
    assert metadata["reprojected_to_deg"] == [15.0 * index for index in range(12)]
    assert metadata["enhancer"]["name"] == "lmmse"
    assert metadata["reprojection_error_factor"]["Zn"] >= 0
    assert api.get(f"/reconstructions/{job['id']}/resolution/Zn.png").status_code == 404


def test_a_job_that_does_not_fit_into_memory_is_refused_with_the_figures(
    settings: Settings, series_key: str, start_service: Callable[..., Any], wait_for: Wait
) -> None:
    small = settings.reconstruction.model_copy(update={"memory_gb": 1e-4})
    with (
        start_service(settings.model_copy(update={"reconstruction": small})) as address,
        httpx.Client(base_url=f"{address}/api/v1", headers={"X-Api-Key": "secret"}) as api,
    ):
        job = api.post("/reconstructions", json={"series": series_key, "elements": ["Zn"]}).json()
        done = wait_for(api, job, "succeeded", "failed")
    assert done["state"] == "failed"
    assert "of memory and 0 MB may be taken" in done["error"]
    assert "fsc: false" in done["error"]


def test_an_incomplete_series_needs_consent(api: httpx.Client, incomplete_series_key: str, wait_for: Wait) -> None:
    request: dict[str, Any] = {"series": incomplete_series_key, "centre": 16.0, "elements": ["Zn"], "fsc": False}
    refused = api.post("/reconstructions", json=request)
    assert (refused.status_code, refused.json()["missing_angles"]) == (409, [2])
    job = api.post("/reconstructions", json=request | {"allow_incomplete": True}).json()
    done = wait_for(api, job, "succeeded", "failed")
    assert (done["result"]["n_angles_used"], done["result"]["excluded_angles"]) == (3, [2])
    assert done["result"]["centre_sigma_px"] is None


def test_a_job_that_cannot_be_done_fails_and_says_why(
    api: httpx.Client, incomplete_series_key: str, wait_for: Wait
) -> None:
    job = api.post("/reconstructions", json={"series": incomplete_series_key, "allow_incomplete": True}).json()
    done = wait_for(api, job, "succeeded", "failed")
    assert done["state"] == "failed"
    assert "the rotation axis needs 4, or give its place" in done["error"]


def test_algorithms_teach_their_parameters(api: httpx.Client) -> None:
    fbp = next(algorithm for algorithm in api.get("/algorithms").json() if algorithm["name"] == "fbp")
    assert fbp["parameters"]["properties"]["window"]["default"] == "ramp"
    assert fbp["capabilities"]["iterative"] is False


def test_the_api_describes_itself_without_a_key_and_with_examples(api: httpx.Client) -> None:
    described = httpx.get(f"{api.base_url}openapi.json").json()
    request = described["components"]["schemas"]["ReconstructionRequest"]
    assert request["additionalProperties"] is False
    assert request["examples"]
    assert request["properties"]["algorithm"]["enum"] == sorted(ALGORITHMS)
    assert "ProblemDocument" in described["components"]["schemas"]
    for operations in described["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert "HTTPValidationError" not in json.dumps(operation)
