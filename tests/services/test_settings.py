from pathlib import Path

import pytest
from pydantic import ValidationError

from services.settings import load_settings


def test_command_line_beats_environment_beats_yaml_beats_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.yml"
    file.write_text("worker: {name: from-yaml, scale: 3, threads: 2}\n")
    monkeypatch.setenv("SUBPROBE_WORKER__SCALE", "2")
    monkeypatch.setenv("SUBPROBE_WORKER__NAME", "from-environment")
    worker = load_settings(file, {"worker": {"name": "from-command-line"}}).worker
    assert (worker.name, worker.scale, worker.threads) == ("from-command-line", 2, 2)
    assert worker.enhancer == "unrolled"


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    file.write_text("worker: {sclae: 3}\n")
    with pytest.raises(ValidationError, match="sclae"):
        load_settings(file, {})


def test_a_missing_settings_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pass an existing YAML file to --config"):
        load_settings(tmp_path / "none.yml", {})


def test_the_api_key_never_shows() -> None:
    settings = load_settings(None, {"tiled": {"api_key": "very-secret"}})
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


@pytest.mark.parametrize("where", ["in-process", "tcp://scheduler.beamline:8786", "tcp://10.0.0.7:8786"])
def test_slabs_are_made_here_or_by_a_dask_cluster(where: str) -> None:
    assert load_settings(None, {"reconstruction": {"compute": where}}).reconstruction.compute == where


@pytest.mark.parametrize("where", ["dask", "scheduler:8786", "tcp://scheduler", "http://scheduler:8786"])
def test_another_place_for_slabs_is_refused_with_what_is_allowed(where: str) -> None:
    with pytest.raises(ValidationError, match="pass in-process, or the address of a Dask scheduler"):
        load_settings(None, {"reconstruction": {"compute": where}})
