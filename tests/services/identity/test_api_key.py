import os
import stat
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from services.catalog.client import Catalog
from services.identity.api_key import ApiKey, KeyAuth, KeyFileError
from services.identity.key_folder import KeyFolder
from services.settings import Settings, TiledSettings

URL = "http://tiled.example/api/v1/"


def test_a_replaced_key_is_read_from_its_file_at_once(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    keys.write("worker", "first")
    key = ApiKey(file=keys.path("worker"))
    assert key.current() == "first"
    keys.write("worker", "later")
    assert key.current() == "later"


def test_a_key_file_that_is_gone_for_a_moment_stops_nobody_who_has_read_it(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.write("worker", "first")
    key = ApiKey(file=keys.path("worker"))
    assert key.current() == "first"
    keys.path("worker").unlink()
    assert key.current() == "first"


def test_a_key_file_that_never_was_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"no API key in .*none\.key: No such file.*subprobe keys"):
        ApiKey(file=tmp_path / "none.key").current()


def test_a_request_refused_for_a_key_that_was_replaced_meanwhile_is_sent_once_more(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.write("worker", "first")
    request = httpx.Request("GET", URL)
    flow = KeyAuth(ApiKey(file=keys.path("worker"))).auth_flow(request)
    assert next(flow).headers["Authorization"] == "Apikey first"
    keys.write("worker", "later")
    assert flow.send(httpx.Response(401)).headers["Authorization"] == "Apikey later"
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(401))


def test_a_request_refused_for_the_key_that_still_stands_is_not_sent_again() -> None:
    flow = KeyAuth(ApiKey("only")).auth_flow(httpx.Request("GET", URL))
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(401))


def test_only_its_owner_reads_a_key_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = KeyFolder(tmp_path / "keys")
        keys.write("worker", "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(keys.path("worker").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.root.stat().st_mode) == 0o700
    assert [path.name for path in keys.root.iterdir()] == ["worker.key"]


def test_no_representation_shows_a_key(tmp_path: Path) -> None:
    secret = "5ec2e7" * 8
    keys = KeyFolder(tmp_path)
    keys.write("worker", secret)
    settings = Settings(tiled=TiledSettings(api_key=SecretStr(secret)))
    key = ApiKey(file=keys.path("worker"))
    assert key.current() == secret
    catalog = Catalog("http://tiled.example", key, None, None, None, None)
    shown = (settings, settings.tiled.key, key, catalog, KeyAuth(key))
    assert all(secret[:8] not in text for one in shown for text in (repr(one), str(one)))
    assert secret not in settings.model_dump_json()


def test_a_key_and_a_file_of_one_are_not_both_taken(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="both set"):
        TiledSettings(api_key=SecretStr("one"), api_key_file=tmp_path / "other")
