"""The way into the catalogue: one connection, its three trees, and errors that say what to do."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx
from numpy.typing import NDArray
from tiled.client import from_uri
from tiled.structures.array import ArrayStructure
from tiled.structures.core import Spec
from tiled.structures.data_source import DataSource
from tiled.utils import patch_mimetypes

from services.catalog.records import CatalogError, CatalogUnreachableError, NotFoundError
from services.identity.api_key import ApiKey, KeyAuth, KeyFileError

AccessTags = frozenset[str]

_PROBE_TIMEOUT_S = 5.0
_BUSY = "it is overloaded or starting"
_UNREACHABLE_STATUS = frozenset({429, 502, 503, 504})

_TREES: dict[str, list[Spec]] = {
    # This spec makes raw[scan_id], raw[-1] and raw["ab12c"] work; on the root it would break root["processed"].
    "raw": [Spec("CatalogOfBlueskyRuns", version="3.0")],
    "processed": [],
    "probes": [],
}


@dataclass(frozen=True)
class Catalog:
    """A connection to Tiled.

    The trees are Tiled containers and stay inside `services.catalog`: everyone else sees records.
    """

    uri: str
    """Root of the server, without path or key."""
    key: ApiKey = field(repr=False)
    root: Any = field(repr=False)
    raw: Any = field(repr=False)
    processed: Any = field(repr=False)
    probes: Any = field(repr=False)

    @property
    def api_key(self) -> str:
        """The key to send now; it may be another one later."""
        return self.key.current()

    def close(self) -> None:
        """Close its network connections."""
        self.root.context.http_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(uri: str, api_key: str | ApiKey) -> Catalog:
    """Connect, creating ``/raw``, ``/processed`` and ``/probes`` where they are absent.

    Args:
        uri: of the server.
        api_key: for it; an `ApiKey` of a file may be replaced while the connection lasts.

    Raises:
        CatalogUnreachableError: nobody answers at ``uri``.
        CatalogError: the server refuses the key, or it lacks the right to create what is missing.
    """
    base_uri = _base_uri(uri)
    key = api_key if isinstance(api_key, ApiKey) else ApiKey(api_key)
    with catalog_errors(f"connecting to {base_uri}"):
        _check_access(base_uri, key)
        root = from_uri(base_uri, api_key=key.current())
        root.context.http_client.auth = KeyAuth(key)
        trees = dict(root.items())
        trees |= {key: ensure_container(root, key, specs=specs) for key, specs in _TREES.items() if key not in trees}
    return Catalog(base_uri, key, root, trees["raw"], trees["processed"], trees["probes"])


def wait_for_tiled(uri: str, timeout_s: float) -> None:
    """Return as soon as the server answers.

    Raises:
        CatalogUnreachableError: it did not within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not is_answering(uri):
        if time.monotonic() >= deadline:
            raise _unreachable(_base_uri(uri))
        time.sleep(0.1)


def is_answering(uri: str) -> bool:
    """Whether a Tiled server is ready at ``uri``; one short request, no retries."""
    try:
        return httpx.get(f"{_base_uri(uri)}/healthz", timeout=_PROBE_TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False


def ensure_container(
    parent: Any,
    key: str,
    metadata: Mapping[str, Any] | None = None,
    specs: list[Spec] | None = None,
    access_tags: AccessTags | None = None,
) -> Any:
    """The child container of that key, created if absent; of several creators at once one creates and all get it."""
    created = create_container(parent, key, metadata, specs, access_tags)
    return parent[key] if created is None else created


def create_container(
    parent: Any,
    key: str,
    metadata: Mapping[str, Any] | None = None,
    specs: list[Spec] | None = None,
    access_tags: AccessTags | None = None,
) -> Any | None:
    """A new child container, or None where the key was taken: the atomic claim among several workers.

    Whoever may see the parent sees it too, unless ``access_tags`` says otherwise.
    """
    tags = access_tags_of(parent) if access_tags is None else access_tags
    with unless_taken():
        return parent.create_container(key, metadata=dict(metadata or {}), specs=specs, access_tags=_sent(tags))
    return None


def create_array(
    parent: Any, key: str, values: NDArray[Any], dims: tuple[str, ...], metadata: Mapping[str, Any] | None = None
) -> Any:
    """Store an array under a new key, for whoever may see the parent."""
    tags = _sent(access_tags_of(parent))
    return parent.write_array(values, key=key, dims=dims, metadata=dict(metadata or {}), access_tags=tags)


def create_empty_array(
    parent: Any, key: str, structure: ArrayStructure, metadata: Mapping[str, Any] | None = None
) -> Any:
    """Room for an array that is written block by block, for whoever may see the parent."""
    source = DataSource(structure_family="array", structure=structure)
    tags = _sent(access_tags_of(parent))
    return parent.new("array", [source], key=key, metadata=dict(metadata or {}), access_tags=tags)


def access_tags_of(node: Any) -> AccessTags:
    """Names of the groups that may see a node; none on a server that keeps no proposals apart."""
    return frozenset(node.item["attributes"].get("access_tags") or ())


def _sent(tags: AccessTags) -> list[str] | None:
    # None, where there are none: an empty list is for administrators only.
    return sorted(tags) or None


def merge_metadata(node: Any, changes: Mapping[str, Any]) -> None:
    """Set some keys of a node's metadata, the others stay as the server has them; None deletes one. No revision."""
    node.patch_metadata(
        metadata_patch=dict(changes),
        # Tiled 0.2.20 takes a merge patch that says nothing of tags for one that removes them all.
        access_tags_patch=_sent(access_tags_of(node)),
        content_type=patch_mimetypes.MERGE_PATCH,
        drop_revision=True,
    )


@contextmanager
def unless_taken() -> Iterator[None]:
    """Leave the block quietly where Tiled says that the key to be created exists."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise


def detail_of(response: httpx.Response, otherwise: str = "") -> str:
    """What an answer says of itself; where it says nothing ``otherwise``, or its status in words."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError, httpx.ResponseNotRead):
        return otherwise or response.reason_phrase


@contextmanager
def catalog_errors(doing: str) -> Iterator[None]:
    """Turn what the HTTP client raises while ``doing`` something into the catalogue's own errors, without the key."""
    try:
        yield
    except CatalogError:
        raise
    except KeyFileError as error:
        raise CatalogError(str(error)) from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == httpx.codes.INSUFFICIENT_STORAGE:
            raise CatalogUnreachableError(f"{doing}: the storage of Tiled is full: make space there") from error
        if status in _UNREACHABLE_STATUS:
            raise CatalogUnreachableError(
                f"{doing}: Tiled answered {status}, {detail_of(error.response, _BUSY)}"
            ) from error
        if status == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"{doing}: Tiled has no such node") from error
        raise CatalogError(f"{doing}: Tiled answered {status} {error.response.reason_phrase}") from error
    except httpx.TransportError as error:
        raise CatalogUnreachableError(f"{doing}: Tiled does not answer ({type(error).__name__})") from error


def _check_access(base_uri: str, key: ApiKey) -> None:
    api_key = key.current()
    headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
    try:
        # Asked directly: Tiled's own client would retry an absent server for 45 s.
        response = httpx.get(f"{base_uri}/api/v1/metadata/", headers=headers, timeout=_PROBE_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise _unreachable(base_uri) from error
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        given = "the API key it was given" if api_key else "to be entered without an API key"
        raise CatalogError(f"Tiled at {base_uri} refuses {given}: set SUBPROBE_TILED__API_KEY to a key of this server")
    if not response.is_success:
        raise CatalogUnreachableError(f"Tiled at {base_uri} answered {response.status_code}: see the server's log")


def _base_uri(uri: str) -> str:
    parts = urlsplit(uri)
    path = parts.path.split("/api/v1")[0].rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _unreachable(base_uri: str) -> CatalogUnreachableError:
    return CatalogUnreachableError(
        f"no Tiled server answers at {base_uri}: start one (`subprobe up`) or set SUBPROBE_TILED__URI"
    )
