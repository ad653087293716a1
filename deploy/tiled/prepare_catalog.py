"""Create Tiled's tables in empty databases; with the argument `upgrade` bring older ones up to date.

These are the catalogue and, where ``TILED_DATABASE_URI`` names it, the database of people and keys. `tiled catalog
init` and `tiled admin initialize-database` do the same, but want the address, password and all, on their command lines.
"""

import os
import sys
from contextlib import suppress

from click.exceptions import Abort
from tiled.commandline import _admin, _catalog

catalog_uri, people_uri = os.environ["TILED_CATALOG_URI"], os.environ.get("TILED_DATABASE_URI")
if sys.argv[1:] == ["upgrade"]:
    _catalog.upgrade_database(catalog_uri, revision=None)
    if people_uri:
        _admin.upgrade_database(people_uri, revision=None)
else:
    _catalog.init(catalog_uri, if_not_exists=True)
    if people_uri:
        with suppress(Abort):  # it is there
            _admin.initialize_database(people_uri)
