"""A real PostgreSQL of this machine's packages, in a temporary folder, that tests may end and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_tree import ProcessTree, wait_until

from services.stack.embedded import free_port

SUPERUSER_PASSWORD = "of-the-superuser"


def postgres_programs() -> Path | None:
    """Folder of `initdb` and `postgres`; None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    beside = shutil.which("postgres")
    return found[-1].parent if found else Path(beside).parent if beside else None


class PostgresServer:
    """One cluster; it listens at the same port each time, and asks for a password as the image of compose does."""

    def __init__(self, log_file: Path, port: int | None = None) -> None:
        programs = postgres_programs()
        if programs is None:
            pytest.skip("PostgreSQL is not installed")
        self._programs = programs
        self.port = port or free_port()
        # PostgreSQL refuses to run as root, and pytest's own folders let nobody else in.
        self._user: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._root = Path(tempfile.mkdtemp(prefix="subprobe-postgres-"))
        if self._user:
            shutil.chown(self._root, "postgres", "postgres")
        self._initialise()
        self.tree = ProcessTree(
            "postgres",
            [str(programs / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self._root),
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            {},
            log_file,
            stop_signal=signal.SIGINT,  # its fast way; SIGTERM waits for every client to go
            options=self._user,
        )  # fmt: skip

    def _initialise(self) -> None:
        password = self._root / "password"
        password.write_text(SUPERUSER_PASSWORD)
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        command = [self._programs / "initdb", "--pgdata", self._data, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._user)
        password.unlink()

    @property
    def _data(self) -> Path:
        return self._root / "data"

    def uri(self, database: str) -> str:
        """Of a database, as the job table wants it, with the superuser's rights."""
        return f"postgresql+pg8000://postgres:{SUPERUSER_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, also again, and wait until it answers."""
        self.tree.start()
        wait_until(self.is_ready, 60, "PostgreSQL answers", self.tree)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        asked = ["-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run([self._programs / "pg_isready", *asked], check=False).returncode == 0

    def psql(self, *arguments: str, environment: Mapping[str, str] | None = None, typed: str | None = None) -> str:
        """Run psql as the superuser; its output."""
        return self._run("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qtA", *arguments,
                         environment=environment, typed=typed)  # fmt: skip

    def text_of(self, database: str) -> str:
        """Everything in a database, as SQL."""
        return self._run("pg_dump", "--format=plain", database)

    def dump(self, database: str, file: Path) -> None:
        """`pg_dump` of a database, as deploy/README.md says it."""
        with file.open("wb") as out:
            subprocess.run([self._programs / "pg_dump", "--format=custom", database], check=True, stdout=out,
                           env=self._environment({}))  # fmt: skip

    def restore(self, database: str, file: Path) -> None:
        """`pg_restore` of a database, as deploy/README.md says it."""
        with file.open("rb") as dumped:
            subprocess.run([self._programs / "pg_restore", "--clean", "--if-exists", "--dbname", database], check=True,
                           stdin=dumped, env=self._environment({}))  # fmt: skip

    def remove(self) -> None:
        """End it and delete its data."""
        self.tree.kill()
        shutil.rmtree(self._root, ignore_errors=True)

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres"}
        return os.environ | where | {"PGPASSWORD": SUPERUSER_PASSWORD} | dict(more)

    def _run(
        self, program: str, *arguments: str, typed: str | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        done = subprocess.run(
            [self._programs / program, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=self._environment(environment or {}),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """One that runs while the context is open; its log is in the folder. The test skips where it is not installed."""
    server = PostgresServer(folder / "postgres.log")
    try:
        server.start()
        yield server
    finally:
        server.remove()
