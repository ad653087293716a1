import json
from pathlib import Path

import pytest

from services.settings import load_settings
from services.stack.address import with_stack_address
from services.stack.folder import StackFolder
from services.stack.processes import StackError


def test_address_and_key_come_from_the_folder_of_the_stack(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.prepare()
    record = {"tiled_uri": "http://127.0.0.1:8123", "service_uri": "http://127.0.0.1:8124", "processes": {}}
    folder.stack_file.write_text(json.dumps(record))
    settings = with_stack_address(load_settings(None, {"folder": tmp_path}))
    assert settings.tiled.uri.port == 8123
    assert settings.reconstruction.port == 8124
    assert settings.tiled.api_key.get_secret_value() == folder.api_key()


def test_a_key_given_by_the_user_stays(tmp_path: Path) -> None:
    given = load_settings(None, {"folder": tmp_path, "tiled": {"api_key": "mine", "uri": "http://tiled.example:80"}})
    assert with_stack_address(given) == given


def test_no_stack_in_the_folder_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="subprobe up --folder"):
        with_stack_address(load_settings(None, {"folder": tmp_path}))
