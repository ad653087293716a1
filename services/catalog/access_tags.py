"""Access tags in Tiled's catalogue: what they open stands in its database, which the server reads at each request."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from tiled.access_control.access_tags import AccessTagsCompiler
from tiled.access_control.scopes import ALL_SCOPES
from tiled.server.connection_pool import close_database_connection_pool
from tiled.server.settings import DatabaseSettings
from tiled.utils import ensure_specified_sql_driver

from services.catalog.records import CatalogError


def write_access_tags(catalog_database_uri: str, definitions: Mapping[str, Any]) -> None:
    """Make these the access tags of a catalogue, in place of those before; nothing else of it changes.

    Args:
        catalog_database_uri: as in Tiled's configuration; it may hold a password.
        definitions: ``tags`` and ``tag_owners`` as Tiled's compiler takes them.

    Raises:
        CatalogError: the database cannot be written, or a tag that is to go is still on some nodes.
    """
    try:
        asyncio.run(_write(catalog_database_uri, dict(definitions)))
    except (SQLAlchemyError, OSError, ValueError, RuntimeError) as error:
        # Without what SQLAlchemy adds, for its messages may hold the address with the password.
        reason = str(error) if isinstance(error, ValueError | RuntimeError) else type(error).__name__
        raise CatalogError(f"the access tags could not be written into the catalogue's database: {reason}") from None


async def _write(uri: str, definitions: dict[str, Any]) -> None:
    settings = DatabaseSettings(uri=ensure_specified_sql_driver(uri))
    compiler = AccessTagsCompiler(ALL_SCOPES, definitions, settings, {}.__getitem__)
    compiler.load_tag_config()
    try:
        await compiler.compile()
    finally:
        await close_database_connection_pool(settings)
