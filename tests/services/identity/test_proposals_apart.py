"""One small series for Alice's proposal, on a real server: who sees it, and what services may do with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from many_users import TiledOfMany
from projection_runs import EVERYTHING, RunWriter

from models.run_schema import ProjectionStart
from services.catalog.client import Catalog, access_tags_of, catalog_errors, connect, merge_metadata
from services.catalog.parking import park_run, parked_runs
from services.catalog.records import CatalogError, MalformedRunError
from services.catalog.runs import access_tags_of_run
from services.catalog.series_layout import ensure_series
from services.catalog.volume_writing import VolumePlace, begin_volume, delete_unfinished_volume
from services.catalog.writer import owner_metadata
from services.reconstruction.auth import Doorkeeper
from services.reconstruction.problems import Problem


@dataclass(frozen=True)
class Made:
    """What the services made."""

    series_key: str
    run_uid: str
    stranger_uid: str
    """A run of Bob's proposal that names Alice's series."""


@pytest.fixture(scope="module")
def worker(many_users: TiledOfMany) -> Iterator[Catalog]:
    """The worker's connection."""
    with many_users.connect("worker") as connection:
        yield connection


@pytest.fixture(scope="module")
def made(many_users: TiledOfMany, worker: Catalog, projection_start: ProjectionStart) -> Made:
    """By the writer, then by the worker, then by the reconstruction service."""
    with many_users.connect("writer") as catalog:
        runs = RunWriter(catalog, many_users.folder.raw)
        own, others = ({"tiled_access_tags": [tag]} for tag in ("GUP-1", "GUP-2"))
        run_uid = runs.write(projection_start, leave_out=EVERYTHING, change_start=own)
        stranger = runs.write(projection_start, leave_out=EVERYTHING, change_start=others, time=1_700_000_100.0)
    series = ensure_series(worker, projection_start, 2, "a worker")
    park_run(worker, stranger, "a test")
    with many_users.connect("reconstruction") as catalog:
        begin_volume(catalog, VolumePlace(series.key, "a-job", "first"), ["Zn"], (4, 4, 4), 4)
    return Made(series.key, run_uid, stranger)


def status(server: TiledOfMany, key: str, path: str, method: str = "GET") -> int:
    return httpx.request(method, f"{server.uri}/api/v1{path}", headers={"Authorization": f"Apikey {key}"}).status_code


def test_all_of_a_series_is_for_those_who_may_see_its_runs(worker: Catalog, made: Made) -> None:
    def below(node: Any) -> Iterator[Any]:
        yield node
        if node.item["attributes"]["structure_family"] == "container":
            for child in node.values():
                yield from below(child)

    nodes = list(below(worker.processed[made.series_key]))
    assert len(nodes) > 25
    assert {access_tags_of(node) for node in nodes} == {frozenset({"GUP-1"})}


@pytest.mark.parametrize(("person", "sees"), [("alice", 200), ("sam", 200), ("root", 200), ("bob", 404), ("eve", 404)])
def test_a_stranger_finds_nothing_where_its_people_find_a_series(
    many_users: TiledOfMany, made: Made, person: str, sees: int
) -> None:
    key = many_users.key_of(person)
    below = ("", "/fitted/Zn", "/projections", "/volumes/a-job")
    paths = [f"/metadata/raw/{made.run_uid}", *(f"/metadata/processed/{made.series_key}{name}" for name in below)]
    assert [status(many_users, key, path) for path in paths] == [sees] * len(paths)
    assert (made.series_key in Doorkeeper(many_users.uri).visible_series(key)) is (sees == 200)


def test_a_key_that_lists_and_reads_no_data_opens_nothing_of_the_service(many_users: TiledOfMany) -> None:
    with pytest.raises(Problem, match="does not read data"):
        Doorkeeper(many_users.uri).visible_series(many_users.key_of("alice", ["read:metadata"]))


def test_a_run_of_another_proposal_does_not_enter_a_series(
    worker: Catalog, made: Made, projection_start: ProjectionStart
) -> None:
    series = ensure_series(worker, projection_start, 2, "a worker")
    series.check_owner(made.run_uid, access_tags_of_run(worker, made.run_uid))
    with pytest.raises(MalformedRunError, match="begun for others") as refused:
        series.check_owner(made.stranger_uid, access_tags_of_run(worker, made.stranger_uid))
    assert "GUP-1" not in str(refused.value)


def test_only_its_own_people_are_told_of_a_parked_run(many_users: TiledOfMany, made: Made) -> None:
    for person, told in (("bob", [made.stranger_uid]), ("alice", [])):
        with connect(many_users.uri, many_users.key_of(person)) as catalog:
            assert list(parked_runs(catalog)) == told


def test_the_worker_deletes_nothing_and_the_reconstruction_service_what_is_unfinished(
    many_users: TiledOfMany, worker: Catalog, made: Made
) -> None:
    with pytest.raises(CatalogError, match="401"):
        delete_unfinished_volume(worker, made.series_key, "a-job")
    with many_users.connect("reconstruction") as catalog:
        begin_volume(catalog, VolumePlace(made.series_key, "other-job", "first"), ["Zn"], (4, 4, 4), 4)
        delete_unfinished_volume(catalog, made.series_key, "other-job")
        assert "other-job" not in catalog.processed[made.series_key, "volumes"]


def test_people_change_nothing(many_users: TiledOfMany, made: Made) -> None:
    with (
        connect(many_users.uri, many_users.key_of("alice")) as catalog,
        pytest.raises(CatalogError, match="403"),
        catalog_errors("changing a series"),
    ):
        merge_metadata(catalog.processed[made.series_key], {"sample_name": "mine"})


def test_runs_that_nobody_would_see_are_not_begun(worker: Catalog) -> None:
    with pytest.raises(CatalogError, match="SUBPROBE_BEAMLINE__ACCESS_TAGS"):
        owner_metadata(worker, ())
    assert owner_metadata(worker, ("GUP-1",)) == {"tiled_access_tags": ["GUP-1"]}


def test_metadata_are_changed_without_touching_who_may_see_them(
    many_users: TiledOfMany, worker: Catalog, made: Made
) -> None:
    with connect(many_users.uri, many_users.admin_key) as admin:  # whom Tiled would let take all tags away
        merge_metadata(admin.processed[made.series_key], {"noted": True})
    node = worker.processed[made.series_key]
    assert node.metadata["noted"] is True
    assert access_tags_of(node) == {"GUP-1"}


def test_a_key_is_rotated_under_an_open_connection(many_users: TiledOfMany, made: Made) -> None:
    with many_users.connect("worker") as catalog:
        old = catalog.api_key
        assert "1 older ones are void" in many_users.subprobe_keys("rotate", "worker")
        assert status(many_users, old, "/metadata/raw") == 401
        assert catalog.api_key != old
        np.testing.assert_equal(catalog.processed[made.series_key, "angles_deg"].read(), [-60.0, 0.0, 60.0])


def test_keys_init_again_leaves_all_as_it_is(many_users: TiledOfMany) -> None:
    before = {path.name: path.read_text() for path in many_users.keys.root.iterdir()}
    said = many_users.subprobe_keys("init") + many_users.subprobe_keys("list")
    assert {path.name: path.read_text() for path in many_users.keys.root.iterdir()} == before
    assert set(before) == {"writer.key", "worker.key", "reconstruction.key"}
    assert not [secret for secret in before.values() if secret.strip()[:8] in said]
