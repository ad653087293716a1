"""A real Tiled server with many users and two proposals."""

from collections.abc import Iterator

import pytest
from many_users import TiledOfMany


@pytest.fixture(scope="module")
def many_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledOfMany]:
    """Alice and Bob have a proposal each, Sam is staff, Eve has an account and no proposal."""
    server = TiledOfMany(tmp_path_factory.mktemp("many"))
    yield server
    server.stop()
