import stat
from pathlib import Path

import yaml

from services.stack.folder import StackFolder


def test_the_key_is_made_once_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    key = folder.api_key()
    assert folder.api_key() == key
    assert len(key) == 64
    assert stat.S_IMODE((folder.root / "api_key").stat().st_mode) == 0o600


def test_the_tiled_configuration_holds_no_secret_and_reads_the_raw_folder(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    key = folder.api_key()
    folder.prepare()
    text = folder.tiled_config.read_text()
    assert key not in text
    assert yaml.safe_load(text)["catalog"]["readable_storage"] == [str(folder.raw)]


def test_preparing_twice_keeps_what_is_there(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.prepare()
    (folder.raw / "scan.h5").touch()
    folder.prepare()
    assert (folder.raw / "scan.h5").exists()
