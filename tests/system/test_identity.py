"""Everybody at everything: who gets what from every route of the service and every node in Tiled, after a real run.

Tiled, a worker and the reconstruction service are processes, each with the key that `subprobe keys` made for it; the
databases are those of a beamline, in PostgreSQL.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import environ
from typing import Any

import httpx
import numpy as np
import pytest
from many_users import COMMON_KEY, TiledOfMany
from postgres_server import PostgresServer, running_postgres
from projection_runs import SMALL_PROJECTION, RunWriter
from structured_runs import measured_structure

from models.physics.probe import gaussian_probe
from models.scan import FlyScan
from services.catalog.client import Catalog, access_tags_of, connect
from services.catalog.parking import parked_runs
from services.catalog.probes import Measurement, import_probe
from services.catalog.products import list_series
from services.catalog.single_pixel import list_single_pixel
from services.stack.embedded import free_port
from services.stack.processes import Child, Command, console_script

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

N_ANGLES = 4
START = replace(
    SMALL_PROJECTION,
    series_uid="a11ce000-0000-4000-8000-000000000001",
    sample_name="ZnMn",
    n_angles=N_ANGLES,
    theta_deg=0.0,
    scan=FlyScan((6, 8), step_nm=120.0, dwell_s=0.01),
    angles_deg=(0.0, 45.0, 90.0, 135.0),
)
CALLERS = ("anonymous", "wrong", "eve", "bob", "alice", "sam", "worker", "root")
REFUSED = {"anonymous": 401, "wrong": 401}
STRANGERS = ("eve", "bob")


@dataclass(frozen=True)
class Beamline:
    """What came of the run."""

    server: TiledOfMany
    service_uri: str
    keys: dict[str, str | None]
    series_key: str
    maps_key: str
    """Of what the worker made of her structured-illumination run."""
    run_uids: tuple[str, ...]
    """Of Alice's series."""
    stranger_uid: str
    """A run of Bob's that names Alice's series."""
    job_id: str
    old_keys: tuple[str, ...]
    """That were rotated away."""
    http: httpx.Client

    def ask(self, caller: str, url: str, method: str = "GET", **request: Any) -> httpx.Response:
        """A request with a caller's key."""
        key = self.keys[caller]
        headers = {} if key is None else {"Authorization": f"Apikey {key}"}
        return self.http.request(method, url, headers=headers, **request)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """With the databases of a beamline."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TiledOfMany]:
    """Of two proposals."""
    running = TiledOfMany(tmp_path_factory.mktemp("many"), postgres)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def beamline(server: TiledOfMany) -> Iterator[Beamline]:
    """Alice's series is measured while the worker's key is rotated; then she asks for a volume."""
    children: list[Child] = []
    port = free_port()
    try:
        for name, service in (("worker", "worker"), ("serve", "reconstruction")):
            children.append(_start(server, name, service, port))
        with httpx.Client(timeout=60.0) as http:
            yield _measured(server, f"http://127.0.0.1:{port}", http)
    finally:
        for child in children:
            child.stop()


def _start(server: TiledOfMany, command: str, service: str, port: int) -> Child:
    settings = {
        "SUBPROBE_FOLDER": str(server.folder.root),
        "SUBPROBE_TILED__URI": server.uri,
        "SUBPROBE_TILED__API_KEY_FILE": str(server.keys.path(service)),
        "SUBPROBE_WORKER__ENHANCER": "bicubic",
        "SUBPROBE_WORKER__SCALE": "2",
        "SUBPROBE_WORKER__SWEEP_S": "600",  # the stream alone tells of new runs, until it breaks
        "SUBPROBE_RECONSTRUCTION__PORT": str(port),
        "SUBPROBE_RECONSTRUCTION__DATABASE_URI": server.jobs_uri,
    }
    log_file = server.folder.logs / f"{command}.log"
    arguments = [console_script("subprobe"), "--log-level", "DEBUG", command]
    return Child(Command(command, arguments, environ | settings, log_file))


def _measured(server: TiledOfMany, service_uri: str, http: httpx.Client) -> Beamline:
    old_keys = [server.keys.path(name).read_text().strip() for name in ("worker", "reconstruction")]
    with server.connect("worker") as worker, server.connect("writer") as writer:
        import_probe(worker, gaussian_probe(fwhm_nm=60.0, energy_kev=10.0), "focus")
        runs = RunWriter(writer, server.folder.raw)
        uids = [_write(runs, 0, "GUP-1")]
        _until("the first projection is done", lambda: _n_done(worker) == 1)
        server.subprobe_keys("rotate", "worker")
        server.subprobe_keys("rotate", "reconstruction")
        uids += [_write(runs, index, "GUP-1") for index in range(1, N_ANGLES)]
        stranger = _write(runs, 1, "GUP-2", time_s=1_700_000_500.0)
        cathode = measured_structure(server.folder.raw, n_patterns=20, shape=(16, 16))
        runs.write_structured(cathode.start, cathode.streams, change_start={"tiled_access_tags": ["GUP-1"]})
        _until("all are done", lambda: _n_done(worker) == N_ANGLES and bool(parked_runs(worker)))
        _until("maps are made", lambda: [maps.state for maps in list_single_pixel(worker)] == ["complete"])
        measured = Measurement(uids[0], 1.6e9, "zone plate", (), np.zeros((8, 8), np.float32))
        import_probe(worker, gaussian_probe(fwhm_nm=70.0, energy_kev=10.0), "of-alice", measurement=measured)
        series_key, maps_key = list_series(worker)[0].key, list_single_pixel(worker)[0].key
    people = {name: server.key_of(name) for name in ("alice", "bob", "sam", "eve", "root")}
    worker_key = server.keys.path("worker").read_text().strip()
    keys = {"anonymous": None, "wrong": COMMON_KEY, "worker": worker_key} | people
    asked = {"series": series_key, "algorithm": "fbp", "centre": 8.0}
    alice = {"Authorization": f"Apikey {people['alice']}"}
    jobs = f"{service_uri}/api/v1/reconstructions"
    job = http.post(jobs, json=asked, headers=alice).raise_for_status().json()["id"]
    _until("the job has ended", lambda: http.get(f"{jobs}/{job}", headers=alice).json()["finished_at"] is not None)
    ended = http.get(f"{jobs}/{job}", headers=alice).json()
    assert ended["state"] == "succeeded", ended
    return Beamline(server, service_uri, keys, series_key, maps_key, tuple(uids), stranger, job, tuple(old_keys), http)


def _write(runs: RunWriter, index: int, proposal: str, time_s: float = 1_700_000_000.0) -> str:
    start = replace(START, angle_index=index, theta_deg=START.angles_deg[index])
    return runs.write(start, seed=index, time=time_s + index, change_start={"tiled_access_tags": [proposal]})


def _n_done(worker: Catalog) -> int:
    return max((len(series.done_angles) for series in list_series(worker)), default=0)


def _until(what: str, reached: Any, patience_s: float = 240.0) -> None:
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.5)


OPEN = {"/api/v1/healthz", "/api/v1/version"}
FOR_ALL_WITH_A_KEY = {"/api/v1/algorithms", "/api/v1/series", "/api/v1/reconstructions"}
ABOUT_THE_SERIES = {
    "/api/v1/series/{key}",
    "/api/v1/series/{key}/thumbnail/{source}/{element}.png",
    "/api/v1/series/{key}/nexus",
    "/api/v1/reconstructions/{job_id}",
    "/api/v1/reconstructions/{job_id}/cancel",
    "/api/v1/reconstructions/{job_id}/events",
    "/api/v1/reconstructions/{job_id}/slice/{element}/{plane}.png",
    "/api/v1/reconstructions/{job_id}/maximum/{element}/{plane}.png",
    "/api/v1/reconstructions/{job_id}/resolution/{element}.png",
    "/api/v1/reconstructions/{job_id}/nexus",
}
"""A route that is in none of the three has no expectation yet: decide who may use it."""


def _expected(method: str, path: str) -> dict[str, int]:
    if path in OPEN:
        return dict.fromkeys(CALLERS, 200)
    if (method, path) == ("POST", "/api/v1/reconstructions"):
        # It asks for something impossible, so that the matrix makes no work: 422 to whoever may see the series.
        return dict.fromkeys(CALLERS, 422) | dict.fromkeys(STRANGERS, 404) | REFUSED
    if path in FOR_ALL_WITH_A_KEY:
        return dict.fromkeys(CALLERS, 200) | REFUSED
    if path in ABOUT_THE_SERIES:
        done = 409 if path.endswith("/cancel") else 200
        return dict.fromkeys(CALLERS, done) | dict.fromkeys(STRANGERS, 404) | REFUSED
    pytest.fail(f"{method} {path} has no expectation: say in this file who may use it")


def test_every_route_answers_each_caller_as_it_should(beamline: Beamline) -> None:
    described = httpx.get(f"{beamline.service_uri}/api/v1/openapi.json").json()
    routes = [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]
    assert len(routes) >= len(OPEN) + len(FOR_ALL_WITH_A_KEY) + len(ABOUT_THE_SERIES)
    wrong = {}
    for method, path in routes:
        for caller, expected in _expected(method, path).items():
            answer = _call(beamline, caller, method, path, beamline.series_key, beamline.job_id)
            if answer.status_code != expected:
                wrong[method, path, caller] = (answer.status_code, expected, answer.text[:200])
    assert not wrong


def _call(beamline: Beamline, caller: str, method: str, path: str, series: str, job: str) -> httpx.Response:
    named = {"key": series, "job_id": job, "source": "fitted", "element": "Zn", "plane": "xy"}
    url = beamline.service_uri + path.format(**named)
    body = {"series": series, "angles": {"reproject_to": 2}, "elements": ["Zn"]} if method == "POST" else None
    return beamline.ask(caller, url, method, json=body if path.endswith("/reconstructions") else None)


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_a_stranger_may_not_see_answers_as_what_is_not_there(beamline: Beamline, stranger: str) -> None:
    absent_series, absent_job = "99-none-00000000", "00000000-0000-4000-8000-000000000000"
    posted = {("POST", "/api/v1/reconstructions")}
    for method, path in posted | {("POST" if p.endswith("cancel") else "GET", p) for p in ABOUT_THE_SERIES}:
        hidden = _call(beamline, stranger, method, path, beamline.series_key, beamline.job_id)
        absent = _call(beamline, stranger, method, path, absent_series, absent_job)
        said = [{**one.json(), "instance": None} for one in (hidden, absent)]
        assert said[0] == said[1], path
        assert hidden.headers.keys() == absent.headers.keys()
    lists = [beamline.ask(stranger, f"{beamline.service_uri}/api/v1/{what}") for what in ("series", "reconstructions")]
    assert [answer.json()["total"] for answer in lists] == [0, 0]


def _nodes(node: Any, path: str = "") -> Iterator[tuple[str, frozenset[str], str]]:
    family = node.item["attributes"]["structure_family"]
    yield path, access_tags_of(node), family
    if family == "container":
        container = getattr(node, "base", node)
        for key in container:
            yield from _nodes(container[key], f"{path}/{key}")


SEES = {
    "trees": {"bob", "alice", "sam", "worker", "root"},
    "everyone": {"bob", "alice", "sam", "worker", "root"},
    "GUP-1": {"alice", "sam", "worker", "root"},
    "GUP-2": {"bob", "sam", "worker", "root"},
}

ITS_OWN = {"worker", "root"}
"""What the worker says of itself."""


def test_every_node_in_tiled_answers_each_caller_as_its_tag_says(beamline: Beamline) -> None:
    with connect(beamline.server.uri, beamline.server.admin_key) as catalog:
        nodes = list(_nodes(catalog.root))
    owners = {path: set(tags) for path, tags, _ in nodes}
    assert owners[f"/raw/{beamline.run_uids[0]}"] == {"GUP-1"}
    assert owners[f"/processed/{beamline.series_key}/volumes/{beamline.job_id}/Zn"] == {"GUP-1"}
    assert owners[f"/processed/{beamline.series_key}/projections/0001"] == {"GUP-1"}
    assert owners[f"/processed/{beamline.maps_key}/sigma/Ni"] == {"GUP-1"}
    assert owners["/probes/of-alice/object_phase"] == {"GUP-1"}
    assert owners[f"/processed/parked/{beamline.stranger_uid}"] == {"GUP-2"}
    assert owners["/probes/focus/kernel"] == {"everyone"}
    assert len(nodes) > 80
    wrong = {}
    for path, tags, family in nodes:
        for caller in CALLERS:
            found = [_tiled(beamline, caller, f"/metadata{path or '/'}")]
            if family == "array":
                found.append(_tiled(beamline, caller, f"/array/full{path}?format=application/octet-stream"))
            # The root is there for everybody with a key; who has no proposal finds it empty.
            tag = next(iter(tags))
            seen = caller in (ITS_OWN if tag.startswith("service:") else SEES[tag]) or not path
            expected = REFUSED.get(caller, 200 if seen else 404)
            if set(found) != {expected}:
                wrong[path, caller] = (found, expected)
    assert not wrong


def _tiled(beamline: Beamline, caller: str, path: str) -> int:
    return beamline.ask(caller, f"{beamline.server.uri}/api/v1{path}").status_code


def test_no_list_or_count_in_tiled_tells_a_stranger_of_a_series(beamline: Beamline) -> None:
    hidden = {beamline.series_key, beamline.maps_key, *beamline.run_uids, "of-alice"}
    for tree, left in (("raw", 1), ("processed", 2), ("probes", 1)):
        node = beamline.ask("bob", f"{beamline.server.uri}/api/v1/metadata/{tree}").json()["data"]
        listed = beamline.ask("bob", f"{beamline.server.uri}/api/v1/search/{tree}").json()
        assert node["attributes"]["structure"]["count"] == listed["meta"]["count"] == left
        assert hidden.isdisjoint(entry["id"] for entry in listed["data"])
    distinct = beamline.ask("bob", f"{beamline.server.uri}/api/v1/distinct/raw?counts=true&metadata=start.series_uid")
    assert [found["count"] for found in distinct.json()["metadata"]["start.series_uid"]] == [1]


def test_services_may_not_do_more_than_their_work(beamline: Beamline) -> None:
    at = f"{beamline.server.uri}/api/v1"
    series, people = f"{at}/metadata/processed/{beamline.series_key}", f"{at}/auth/principal"
    made = {"expires_in": None, "scopes": None}
    for caller in ("worker", "alice"):
        assert beamline.ask(caller, series, "DELETE").status_code in (401, 403)
        assert beamline.ask(caller, people).status_code in (401, 403)
    assert beamline.ask("worker", f"{at}/auth/apikey", "POST", json=made).status_code == 401


def test_a_run_of_another_proposal_left_no_trace_in_the_series(beamline: Beamline) -> None:
    told = beamline.ask("alice", f"{beamline.server.uri}/api/v1/search/processed/{beamline.series_key}/projections")
    assert beamline.stranger_uid not in told.text
    assert "GUP-2" not in told.text
    parked = beamline.ask("bob", f"{beamline.server.uri}/api/v1/metadata/processed/parked/{beamline.stranger_uid}")
    assert beamline.series_key not in parked.text
    assert "GUP-1" not in parked.text


def test_keys_were_rotated_while_worker_and_service_ran(beamline: Beamline) -> None:
    for old in beamline.old_keys:
        answer = httpx.get(f"{beamline.server.uri}/api/v1/metadata/raw", headers={"Authorization": f"Apikey {old}"})
        assert answer.status_code == 401
    # All but the first projection, and the job, were done with the new ones, by the processes that began.
    assert (beamline.server.folder.logs / "worker.log").read_text().count("enhancing by") == 1
    assert (beamline.server.folder.logs / "serve.log").read_text().count("Started server process") == 1


def test_no_key_is_in_a_log_a_job_or_metadata(beamline: Beamline, postgres: PostgresServer) -> None:
    server = beamline.server
    secrets = {*beamline.old_keys, server.admin_key, *filter(None, beamline.keys.values())}
    secrets |= {path.read_text().strip() for path in server.keys.root.iterdir()}
    places = {path.name: path.read_text(errors="replace") for path in server.folder.logs.iterdir()}
    assert {"tiled.log", "worker.log", "serve.log"} <= set(places)
    places |= {path.name: path.read_text() for path in server.folder.status.iterdir()}
    places |= {name: postgres.text_of(name) for name in ("subprobe_jobs", "tiled_catalog", "tiled_people")}
    assert all(len(text) > 50 for text in places.values())
    assert not [name for name, text in places.items() for secret in secrets if secret in text]
    assert not re.search(r"api_key=[0-9a-f]", "".join(places.values()))
