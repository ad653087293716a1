"""The database of the job table: its tables made by the first replica; that it does not answer is one kind of error."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from services.errors import SubprobeError

_TIMEOUT_S = 10
_CREATION_LOCK = 0x737562  # "sub": any number that nobody else locks in this database
# SQLSTATE of PostgreSQL, which pg8000 tells by an error of no particular kind: connection exceptions; too many
# connections; shutting down, crashed, starting up.
_WITHOUT_SERVER = ("08", "53300", "57P")


class JobTableUnreachableError(SubprobeError):
    """The database of the jobs does not answer; nothing is lost, and it is enough to try again."""


class JobDatabase:
    """Transactions on some tables, which are created when they are first needed.

    Args:
        uri: SQLAlchemy URI: SQLite, or PostgreSQL by pg8000.
        tables: what must be there.
    """

    def __init__(self, uri: str, tables: MetaData) -> None:
        self._tables = tables
        self._preparing = threading.Lock()
        self._is_prepared = False
        if uri.startswith("sqlite"):
            self._engine = create_engine(uri)
            _let_threads_wait_for_each_other(self._engine)
        else:
            # A server that is frozen, and not only dead, must be noticed: pg8000 by itself waits for ever.
            self._engine = create_engine(uri, pool_pre_ping=True, connect_args={"timeout": _TIMEOUT_S})

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes are all made at the end of the block, or none of them.

        Raises:
            JobTableUnreachableError: the database does not answer.
        """
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            if not _is_unreachable(error):
                raise
            raise JobTableUnreachableError(
                f"the job table does not answer ({type(error).__name__}): is its database up? It is tried again"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self._preparing:
            if self._is_prepared:
                return
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # `CREATE TABLE IF NOT EXISTS` of two replicas at once fails in one of them.
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})
                self._tables.create_all(connection)
            self._is_prepared = True


def _is_unreachable(error: DBAPIError | OSError) -> bool:
    # pg8000 lets the time-out of its socket through as it is: an OSError.
    if isinstance(error, (OSError, OperationalError, InterfaceError)):
        return True
    return _says_the_server_went(error.orig)


def _says_the_server_went(error: BaseException | None) -> bool:
    said = error.args[0] if error is not None and error.args else None
    return isinstance(said, dict) and str(said.get("C", "")).startswith(_WITHOUT_SERVER)


def _let_threads_wait_for_each_other(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA busy_timeout=30000")
