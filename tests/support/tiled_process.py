"""A Tiled server as the embedded stack runs it, in a process of its own that tests may end and start again."""

from pathlib import Path

from pydantic import HttpUrl, SecretStr

from services.catalog.client import Catalog, connect, wait_for_tiled
from services.settings import BeamlineSettings, ReconstructionSettings, Settings, TiledSettings, WorkerSettings
from services.stack.embedded import free_port, tiled_arguments
from services.stack.folder import StackFolder
from services.stack.processes import Child, Command

_START_TIMEOUT_S = 120.0


class TiledProcess:
    """SQLite catalogue, DuckDB tables, in-memory stream, everything in one folder."""

    def __init__(self, root: Path) -> None:
        self.folder = StackFolder(root)
        self.folder.prepare()
        self.api_key = self.folder.api_key()
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start, also again after `stop` or `kill`: on the same port, with the same data."""
        environment = {"TILED_CONFIG": str(self.folder.tiled_config), "TILED_SINGLE_USER_API_KEY": self.api_key}
        arguments = tiled_arguments("127.0.0.1", self._port)
        self._child = Child(Command("tiled", arguments, environment, self.folder.logs / "tiled.log"))
        wait_for_tiled(self.uri, _START_TIMEOUT_S)

    def stop(self) -> None:
        """End it as a supervisor does."""
        self._child.stop()

    def connect(self) -> Catalog:
        """A new connection."""
        return connect(self.uri, self.api_key)

    def settings(self, **worker: object) -> Settings:
        """Of whoever works with this server: a small fast beamline, a worker that looks around often."""
        return Settings(
            folder=self.folder.root,
            tiled=TiledSettings(uri=HttpUrl(self.uri), api_key=SecretStr(self.api_key)),
            worker=WorkerSettings.model_validate({"sweep_s": 2.0} | worker),
            reconstruction=ReconstructionSettings(database_uri=self.folder.jobs_uri),
            beamline=BeamlineSettings(time_scale=0.0),
        )
