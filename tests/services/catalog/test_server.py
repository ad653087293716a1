"""What goes wrong beneath Tiled is told apart: what passes by itself, and what does not."""

import errno
import sqlite3

import pytest
from obstore.exceptions import GenericError
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import IntegrityError, OperationalError

from services.catalog.server import STORAGE_FULL, UNAVAILABLE, classified


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), STORAGE_FULL, "storage of Tiled is full"),
        (OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")), STORAGE_FULL, "full"),
        (GenericError("Unable to copy data to file: No space left on device (os error 28)"), STORAGE_FULL, "is full"),
        (ConnectionRefusedError(111, "Connect call failed"), UNAVAILABLE, "database of Tiled does not answer"),
        (OperationalError("SELECT", {}, Exception("the database system is shutting down")), UNAVAILABLE, "database"),
        (RedisConnectionError("Error 111 connecting"), UNAVAILABLE, "is Redis up"),
        (IntegrityError("INSERT", {}, Exception("duplicate key")), 500, "Internal"),
        (OSError("Unable to synchronously open file (truncated file)"), 500, "Internal"),
    ],
)
def test_an_outage_is_no_defect_and_a_bad_file_no_outage(error: Exception, status: int, words: str) -> None:
    told, detail = classified(error)
    assert told == status
    assert words in detail
