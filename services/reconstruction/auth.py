"""Who may come in: callers show a Tiled API key, and Tiled itself says what it opens."""

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

import httpx
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from services.reconstruction.problems import Problem, tiled_unreachable

# Visible ASCII, no longer than any key Tiled makes: anything else is refused before Tiled hears of it.
_KEY = re.compile(r"[!-~]{1,256}")
_CHALLENGE = {"WWW-Authenticate": 'Apikey realm="subprobe"'}
_TIMEOUT_S = 5.0
_PAGE = 300  # the most that Tiled lists at once
_MOST_REMEMBERED = 1024

_authorization = APIKeyHeader(
    name="Authorization",
    scheme_name="Authorization",
    description="`Apikey <your Tiled API key>`",
    auto_error=False,
)
_x_api_key = APIKeyHeader(name="X-Api-Key", scheme_name="X-Api-Key", description="Your Tiled API key", auto_error=False)


class Doorkeeper:
    """Asks Tiled what a key opens and remembers the answer for a few seconds, by the key's digest only.

    Args:
        tiled_uri: root of the Tiled server.
        remember_s: how long an answer holds, so also how long a revoked key still works.
    """

    def __init__(self, tiled_uri: str, remember_s: float = 10.0) -> None:
        self._http = httpx.Client(base_url=tiled_uri, timeout=_TIMEOUT_S)
        self._remember_s = remember_s
        # Answers are found by a digest keyed with this secret, so the time that a look-up takes tells nothing of a key.
        self._salt = secrets.token_bytes(32)
        self._remembered: dict[bytes, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def visible_series(self, key: str | None, fresh: bool = False) -> frozenset[str]:
        """Keys of the series in /processed that a caller's key opens.

        Args:
            key: as it was sent.
            fresh: ask Tiled whatever is remembered.

        Raises:
            Problem: 401 without a valid key, 403 if it does not open /processed, 503 if Tiled does not answer.
        """
        if key is None or not _KEY.fullmatch(key):
            raise _unauthorized("Send your Tiled API key as the header `Authorization: Apikey <key>`")
        digest = hmac.digest(self._salt, key.encode("ascii"), hashlib.sha256)
        visible = None if fresh else self._recall(digest)
        if visible is None:
            visible = self._ask_tiled(key)
            self._remember(digest, visible)
        return visible

    def close(self) -> None:
        """Close the connections to Tiled."""
        self._http.close()

    def _recall(self, digest: bytes) -> frozenset[str] | None:
        with self._lock:
            until, visible = self._remembered.get(digest, (0.0, frozenset()))
        return visible if time.monotonic() < until else None

    def _remember(self, digest: bytes, visible: frozenset[str]) -> None:
        now = time.monotonic()
        with self._lock:
            self._remembered = {known: entry for known, entry in self._remembered.items() if now < entry[0]}
            if len(self._remembered) < _MOST_REMEMBERED:
                self._remembered[digest] = (now + self._remember_s, visible)

    def _ask_tiled(self, key: str) -> frozenset[str]:
        self._check_reads_data(key)
        visible: set[str] = set()
        while True:
            page = self._page_of_series(key, len(visible))
            visible.update(page)
            if len(page) < _PAGE:
                return frozenset(visible)

    def _check_reads_data(self, key: str) -> None:
        """Where keys can be limited, one that lists and reads no data must not get pictures of them from us."""
        response = self._get(key, "/api/v1/auth/apikey")
        if response.is_success and {"inherit", "read:data"}.isdisjoint(response.json()["scopes"]):
            raise Problem(HTTPStatus.FORBIDDEN, "Your Tiled API key does not read data: ask for one with read:data")

    def _page_of_series(self, key: str, offset: int) -> list[str]:
        response = self._get(
            key, "/api/v1/search/processed", {"fields": "", "page[offset]": offset, "page[limit]": _PAGE}
        )
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise Problem(
                HTTPStatus.FORBIDDEN, "Your Tiled API key does not open /processed: ask for one that may read it"
            )
        if response.status_code == HTTPStatus.NOT_FOUND:
            return []  # /processed is not there yet, or hidden from this key: either way there is nothing to see
        if not response.is_success:
            raise tiled_unreachable(f"Tiled, which checks your key, answered {response.status_code}: try again")
        return [str(entry["id"]) for entry in response.json()["data"]]

    def _get(self, key: str, path: str, query: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = self._http.get(path, params=query, headers={"Authorization": f"Apikey {key}"})
        except httpx.HTTPError as error:
            raise tiled_unreachable("Tiled, which checks your key, does not answer: try again") from error
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise _unauthorized("Tiled does not accept this API key: it is wrong, expired or may not read")
        return response


@dataclass(frozen=True)
class Caller:
    """Somebody whose key Tiled knows, for the length of one request."""

    doorkeeper: Doorkeeper = field(repr=False)
    key: str | None = field(repr=False)

    def visible_series(self, fresh: bool = False) -> frozenset[str]:
        """Keys of the series this caller may see."""
        return self.doorkeeper.visible_series(self.key, fresh)

    def may_see(self, series_key: str) -> bool:
        """Whether this series is open to this caller; a series that is new since Tiled was last asked is found too."""
        return series_key in self.visible_series() or series_key in self.visible_series(fresh=True)


def _unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers=_CHALLENGE)


def offered_key(
    authorization: Annotated[str | None, Depends(_authorization)],
    x_api_key: Annotated[str | None, Depends(_x_api_key)],
) -> str | None:
    """The key in the request's headers, as it was sent; None where there is none."""
    if authorization is None:
        return x_api_key
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "apikey" else None


def authenticate(request: Request, key: Annotated[str | None, Depends(offered_key)]) -> Caller:
    """The caller of this request; a dependency of every operation behind the door."""
    caller = Caller(request.app.state.doorkeeper, key)
    caller.visible_series()
    return caller


Authenticated = Annotated[Caller, Depends(authenticate)]
