"""Create Tiled's tables in an empty catalogue database; with the argument `upgrade` bring older ones up to date.

`tiled catalog init` does the same, but wants the address, password and all, on its command line.
"""

import os
import sys

from tiled.commandline._catalog import init, upgrade_database

database_uri = os.environ["TILED_CATALOG_URI"]
if sys.argv[1:] == ["upgrade"]:
    upgrade_database(database_uri, revision=None)
else:
    init(database_uri, if_not_exists=True)
