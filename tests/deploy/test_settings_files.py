"""The settings files of deploy/: Tiled and subprobe take them as they are, with the environment of compose."""

from pathlib import Path

import pytest
from compose_file import ROOT, read_service
from tiled.config import parse_configs

from services.settings import load_settings

VARIABLES = {
    "TILED_DATABASE_PASSWORD": "of-tiled",
    "JOBS_DATABASE_PASSWORD": "of-the-jobs",
    "REDIS_PASSWORD": "of-redis",
    "TILED_API_KEY": "keyofalltests",
    "COMPUTE": "tcp://dask-scheduler:8786",
}
SUBPROBE_CONFIG = ROOT / "deploy/subprobe/config.yaml"


def enter(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """Have the environment that compose gives a service."""
    for name, value in read_service(service, VARIABLES).environment.items():
        monkeypatch.setenv(name, value)


# Tiled resolves the adapter's name to its class, and dumps the section again for what it starts.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_tiled_takes_its_file_with_the_environment_of_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, "tiled")
    config = parse_configs(ROOT / "deploy/tiled/config.yml")
    assert config.streaming_cache is not None
    catalog = config.trees[0].args  # what Tiled makes of the section
    assert catalog["uri"] == "postgresql://tiled:of-tiled@postgres:5432/tiled_catalog"
    assert catalog["writable_storage"] == [
        "/data/arrays",
        "postgresql://tiled:of-tiled@postgres:5432/tiled_storage",
    ]
    assert catalog["readable_storage"] == ["/data/raw"]
    assert not catalog["init_if_not_exists"]
    assert config.streaming_cache.uri == "redis://:of-redis@redis:6379"
    assert config.authentication.allow_anonymous_access is False


@pytest.mark.parametrize("service", ["worker", "worker-gpu", "reconstruction", "queueserver", "dask-worker"])
def test_subprobe_takes_its_file_with_the_environment_of_compose(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, service)
    settings = load_settings(SUBPROBE_CONFIG, {})
    assert settings.folder == Path("/data")
    assert str(settings.tiled.uri) == "http://tiled:8000/"
    assert settings.tiled.api_key.get_secret_value() == VARIABLES["TILED_API_KEY"]
    assert settings.log.format == "json"


def test_services_share_the_job_table_and_compute_where_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, "reconstruction")
    reconstruction = load_settings(SUBPROBE_CONFIG, {}).reconstruction
    assert reconstruction.database_uri == "postgresql+pg8000://subprobe:of-the-jobs@postgres:5432/subprobe_jobs"
    assert reconstruction.compute == VARIABLES["COMPUTE"]
    assert (reconstruction.host, reconstruction.port) == ("0.0.0.0", 8001)


def test_workers_are_watched_at_the_port_that_compose_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, "worker")
    worker = load_settings(SUBPROBE_CONFIG, {}).worker
    asked = read_service("worker", VARIABLES).environment["HEALTH_URL"]
    assert asked == f"http://127.0.0.1:{worker.monitor_port}/healthz"
    assert worker.monitor_host == "0.0.0.0"
