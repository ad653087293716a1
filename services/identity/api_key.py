"""A Tiled API key that may be replaced while whoever uses it runs."""

import threading
from collections.abc import Generator
from pathlib import Path

import httpx

from services.errors import SubprobeError


class KeyFileError(SubprobeError):
    """The file that should hold the API key cannot be read."""


class ApiKey:
    """A key as it stands in the settings, or in a file that is read again whenever it has changed.

    Args:
        secret: the key; empty for none.
        file: that holds the key instead, alone in it.
    """

    def __init__(self, secret: str = "", file: Path | None = None) -> None:
        self._secret = secret
        self._file = file
        self._read_as: tuple[int, int, int] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ApiKey({'of the settings' if self._file is None else self._file})"

    def current(self) -> str:
        """The key to send now; the last one known where the file cannot be read for a moment.

        Raises:
            KeyFileError: the file never could be read.
        """
        if self._file is None:
            return self._secret
        try:
            found = self._file.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            with self._lock:
                if state != self._read_as:
                    self._secret, self._read_as = self._file.read_text(encoding="ascii").strip(), state
                return self._secret
        except (OSError, UnicodeDecodeError) as error:
            if self._read_as is not None:
                return self._secret
            reason = error.strerror if isinstance(error, OSError) else "it holds more than a key"
            raise KeyFileError(
                f"no API key in {self._file}: {reason}; `subprobe keys` writes one, "
                "and SUBPROBE_TILED__API_KEY_FILE names it"
            ) from None


class KeyAuth(httpx.Auth):
    """Sends the key of the moment with each request, and once more where it was replaced meanwhile."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth`."""
        sent = self._key.current()
        if sent:
            request.headers["Authorization"] = f"Apikey {sent}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and (now := self._key.current()) != sent:
            request.headers["Authorization"] = f"Apikey {now}"
            yield request
