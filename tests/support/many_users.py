"""A Tiled server with many users, as `deploy/tiled/config-multi-user.yml` has it, but for passwords of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import yaml
from postgres_server import PostgresServer
from typer.testing import CliRunner

from services.catalog.client import Catalog, connect, wait_for_tiled
from services.cli import app
from services.identity.api_key import ApiKey
from services.identity.key_folder import KeyFolder
from services.stack.embedded import free_port, tiled_arguments
from services.stack.folder import StackFolder
from services.stack.processes import Child, Command

_DEPLOY = Path(__file__).parents[2] / "deploy"
_CONFIG = _DEPLOY / "tiled" / "config-multi-user.yml"
_START_TIMEOUT_S = 240.0
COMMON_KEY = "0" * 64
"""Of a server with one user: here it opens nothing."""
ADMIN = "root"
PEOPLE = (ADMIN, "alice", "bob", "sam", "eve")
"""Eve has an account and no proposal."""
_PROPOSALS = {"staff": ["sam"], "proposals": {"GUP-1": ["alice"], "GUP-2": ["bob"]}}


class TiledOfMany:
    """The server in a process of its own, with the services, keys and proposals that `subprobe keys` made.

    Its databases are those of a beamline where a PostgreSQL server is given, else files in its folder.
    """

    def __init__(self, root: Path, postgres: PostgresServer | None = None) -> None:
        self.folder = StackFolder(root)
        self.folder.prepare()
        self.keys = KeyFolder(root / "keys")
        self._passwords = {name: f"password-of-{name}" for name in PEOPLE}
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self.people_uri = f"sqlite:///{root / 'people.db'}"
        self.catalog_uri = f"sqlite:///{root / 'catalog.db'}"
        self.tables_uri = f"duckdb:///{root / 'tables.duckdb'}"
        self.jobs_uri = self.folder.jobs_uri
        if postgres is not None:
            self._use(postgres)
        if postgres is not None:
            prepare = [sys.executable, str(_DEPLOY / "tiled/prepare_catalog.py")]
            subprocess.run(prepare, env=os.environ | self._environment(), check=True)
        arguments = tiled_arguments("127.0.0.1", port)
        self._child = Child(Command("tiled", arguments, self._environment(), self.folder.logs / "tiled.log"))
        try:
            wait_for_tiled(self.uri, _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        self.admin_key = self.key_of(ADMIN)
        proposals = root / "proposals.yml"
        proposals.write_text(yaml.safe_dump(_PROPOSALS))
        self.subprobe_keys("init")
        self.subprobe_keys("tags", str(proposals))

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def subprobe_keys(self, *arguments: str) -> str:
        """`subprobe keys ...` as the administrator runs it; what it says."""
        environment = {
            "SUBPROBE_TILED__URI": self.uri,
            "SUBPROBE_TILED__API_KEY": self.admin_key,
            "TILED_CATALOG_URI": self.catalog_uri,
        }
        folder = () if arguments[0] == "tags" else ("--folder", str(self.keys.root))
        done = CliRunner().invoke(app, ["keys", *arguments, *folder], env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def key_of(self, name: str, scopes: Sequence[str] = ("inherit",)) -> str:
        """A new key of a person, by default for all that person may, as `tiled login` and `tiled api_key create` do."""
        with httpx.Client(base_url=f"{self.uri}/api/v1/auth") as http:
            login = {"username": name, "password": self._passwords[name]}
            token = http.post("/provider/site/token", data=login).raise_for_status().json()["access_token"]
            made = http.post(
                "/apikey",
                json={"expires_in": 3600, "scopes": list(scopes)},
                headers={"Authorization": f"Bearer {token}"},
            )
            return str(made.raise_for_status().json()["secret"])

    def connect(self, service: str) -> Catalog:
        """A connection with the key file of a service."""
        return connect(self.uri, ApiKey(file=self.keys.path(service)))

    def _use(self, postgres: PostgresServer) -> None:
        passwords = {"TILED_DATABASE_PASSWORD": "of-tiled", "JOBS_DATABASE_PASSWORD": "of-jobs"}
        postgres.psql("-f", str(_DEPLOY / "postgres/create-databases.sql"), environment=passwords)
        uri = f"postgresql://tiled:of-tiled@127.0.0.1:{postgres.port}"
        self.people_uri, self.catalog_uri = f"{uri}/tiled_people", f"{uri}/tiled_catalog"
        self.tables_uri = f"{uri}/tiled_storage"
        self.jobs_uri = f"postgresql+pg8000://subprobe:of-jobs@127.0.0.1:{postgres.port}/subprobe_jobs"

    def _environment(self) -> dict[str, str]:
        config = yaml.safe_load(_CONFIG.read_text())
        config["authentication"]["providers"] = [
            {
                "provider": "site",
                "authenticator": "tiled.authenticators:DictionaryAuthenticator",
                "args": {"users_to_passwords": self._passwords},
            }
        ]
        path = self.folder.root / "many-users.yml"
        path.write_text(yaml.safe_dump(config))
        return {
            "TILED_CONFIG": str(path),
            "TILED_SINGLE_USER_API_KEY": COMMON_KEY,
            "SUBPROBE_TILED_ADMIN": ADMIN,
            "TILED_SECRET_KEY": "secret" * 8,
            "TILED_DATABASE_URI": self.people_uri,
            "TILED_CATALOG_URI": self.catalog_uri,
            "SUBPROBE_ARRAYS": str(self.folder.root / "arrays"),
            "SUBPROBE_TABLES_URI": self.tables_uri,
            "SUBPROBE_RAW": str(self.folder.raw),
            "TILED_STREAMING_CACHE_URI": "memory",
        }
