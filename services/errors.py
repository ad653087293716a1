"""The root of the errors that a user can mend; the command prints them in one line."""


class SubprobeError(Exception):
    """Says what was needed, what came and what to do."""
