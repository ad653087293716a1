"""The services of a Tiled server that has many users: each a principal of its own, with the least it needs."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from services.errors import SubprobeError
from services.identity.api_key import ApiKey, KeyAuth

_NOTE = "subprobe:"
_PAGE = 100
_TIMEOUT_S = 10.0
_READ = ("read:metadata", "read:data")
_WRITE = ("create:node", "write:metadata", "write:data")


class IdentityError(SubprobeError):
    """Tiled did not do what `subprobe keys` asked; the message says what to do."""


@dataclass(frozen=True)
class Service:
    """A kind of process, and what its key opens.

    Attributes:
        role: of its principal in Tiled; only an admin's keys may register files of detectors.
        scopes: of its key and, in every access tag, of its principal.
    """

    role: Literal["user", "admin"]
    scopes: tuple[str, ...]


SERVICES = {
    "writer": Service("admin", (*_READ, *_WRITE, "register")),
    "worker": Service("user", (*_READ, *_WRITE)),
    # It takes away what a job that did not end well left behind, which Tiled grants with both scopes only.
    "reconstruction": Service("user", (*_READ, *_WRITE, "delete:node", "delete:revision")),
}


@dataclass(frozen=True)
class Principal:
    """A service that Tiled knows.

    Attributes:
        name: one of `SERVICES`.
        uuid: of the principal.
        key_starts: first eight characters of each of its keys, which tell nothing of the rest.
    """

    name: str
    uuid: str
    key_starts: tuple[str, ...]


class Principals:
    """An administrator's way to the principals of a Tiled server.

    Args:
        tiled_uri: root of the server.
        admin_key: of somebody who is among its ``tiled_admins``.
    """

    def __init__(self, tiled_uri: str, admin_key: ApiKey) -> None:
        base = f"{tiled_uri.rstrip('/')}/api/v1/auth"
        self._http = httpx.Client(base_url=base, auth=KeyAuth(admin_key), timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def known(self) -> dict[str, Principal]:
        """The services that are there, by name: the notes on their keys tell them apart, for Tiled gives no names.

        Raises:
            IdentityError: the server has no users, or the key is no administrator's.
        """
        found: dict[str, Principal] = {}
        for principal in self._all():
            noted = [key for key in principal["api_keys"] if str(key["note"]).startswith(_NOTE)]
            if principal["type"] == "service" and noted:
                name = str(noted[0]["note"]).removeprefix(_NOTE)
                found[name] = Principal(name, str(principal["uuid"]), tuple(key["first_eight"] for key in noted))
        return found

    def create(self, name: str) -> str:
        """A new principal for a service; its uuid. Nobody finds it before it has a key."""
        return str(self._ask("POST", "/principal", params={"role": SERVICES[name].role})["uuid"])

    def new_key(self, name: str, uuid: str) -> str:
        """A further key of a service's principal, with the scopes of the service and no end."""
        wanted = {"scopes": list(SERVICES[name].scopes), "note": f"{_NOTE}{name}", "expires_in": None}
        return str(self._ask("POST", f"/principal/{uuid}/apikey", json=wanted)["secret"])

    def revoke(self, principal: Principal, key_start: str) -> None:
        """End a key."""
        self._ask("DELETE", f"/principal/{principal.uuid}/apikey", params={"first_eight": key_start})

    def _all(self) -> list[dict[str, Any]]:
        principals: list[dict[str, Any]] = []
        while True:
            page = self._ask("GET", "/principal", params={"page[offset]": len(principals), "page[limit]": _PAGE})
            principals += page
            if len(page) < _PAGE:
                return principals

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise IdentityError(f"Tiled at {self._http.base_url} does not answer ({type(error).__name__})") from error
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise IdentityError(
                "Tiled does not take this key for an administrator's: set SUBPROBE_TILED__API_KEY to a key of somebody "
                "in tiled_admins of its configuration"
            )
        if response.status_code == httpx.codes.NOT_FOUND:
            raise IdentityError(
                "this Tiled server has no users, only one key: see deploy/tiled/config-multi-user.yml for one that has"
            )
        if not response.is_success:
            raise IdentityError(f"Tiled answered {response.status_code} to {method} {path}: see the server's log")
        return response.json() if response.content else None
