"""Arrays that a run measured: looked at before they are read, and read without losing patience or keeping it for ever.

Tiled answers 500 or 503 where a detector's file is damaged, gone, or shorter than was announced, and also where its
own database is away. Its client asks again for 45 s in either case. Here what else the server says tells them apart.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.utils import MSGPACK_MIME_TYPE, handle_error

from models.run_schema import LARGEST_PROJECTION_BYTES
from services.catalog.client import Catalog, detail_of
from services.catalog.records import CatalogUnreachableError, MalformedRunError

_PAUSES_S = (0.5, 2.0)
"""Before asking again for what the server could not read while it answered everything else: it may be mounting."""
_PART_BYTES = 64 * 2**20
"""Of one request: a tenth of a second on a beamline's network, and small beside what Tiled allows (300 MB)."""
_REFUSED = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.GONE, httpx.codes.UNPROCESSABLE_ENTITY})
_NUMBERS = "uif"


@dataclass(frozen=True)
class MeasuredArray:
    """An array of a stream as the catalogue announces it, not yet read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    address: str
    """Of the whole array."""


def stream_arrays(catalog: Catalog, run_uid: str, stream: str) -> dict[str, MeasuredArray]:
    """Arrays of a stream by data key, from one listing: going there node by node takes three.

    Raises:
        MalformedRunError: there is no such stream.
    """
    listing = f"{catalog.root.item['links']['search'].rstrip('/')}/raw/{run_uid}/{stream}"
    response = catalog.root.context.http_client.get(listing, headers={"Accept": MSGPACK_MIME_TYPE})
    if response.status_code == httpx.codes.NOT_FOUND:
        raise MalformedRunError(f"run {run_uid} has no stream {stream!r}: nothing was measured in it")
    children = handle_error(response).json()["data"]
    return {child["id"]: _announced(child) for child in children if _is_array(child)}


def check_arrays(run_uid: str, arrays: Mapping[str, MeasuredArray], needed: Mapping[str, tuple[int, ...]]) -> None:
    """Whether what is announced is what is needed, and can be held in memory.

    Raises:
        MalformedRunError: it is not; the message names it.
    """
    for name, shape in needed.items():
        array = arrays[name]
        if array.dtype.kind not in _NUMBERS:
            raise MalformedRunError(f"run {run_uid}: {name} holds {array.dtype} where real numbers are needed")
        if array.shape != shape:
            raise MalformedRunError(f"run {run_uid}: {name} has shape {array.shape} where {shape} is needed")
        if prod(shape) * array.dtype.itemsize > 2 * LARGEST_PROJECTION_BYTES:  # twice: float64 for uint32
            raise MalformedRunError(
                f"run {run_uid}: {name} of shape {shape} takes more than {2 * LARGEST_PROJECTION_BYTES / 2**30:g} GiB: "
                f"a smaller one is needed"
            )


def read_array(catalog: Catalog, run_uid: str, array: MeasuredArray) -> NDArray[Any]:
    """Read a checked array, a part after the other.

    Raises:
        MalformedRunError: the server cannot read it though it answers everything else.
        CatalogUnreachableError: the server answers nothing.
    """
    values = np.empty(array.shape, array.dtype)
    if not values.size:
        return values
    rows_at_once = max(1, _PART_BYTES // max(1, values[0].nbytes))
    for first in range(0, len(values), rows_at_once):
        part = values[first : first + rows_at_once]
        content = _content(catalog, run_uid, array, first, part.shape)
        if len(content) != part.nbytes:
            raise MalformedRunError(f"run {run_uid}: {array.name} gave {len(content)} bytes for {part.nbytes}")
        part[...] = np.frombuffer(content, array.dtype).reshape(part.shape)
    return values


def _content(catalog: Catalog, run_uid: str, array: MeasuredArray, first: int, shape: tuple[int, ...]) -> bytes:
    parameters = {"slice": f"{first}:{first + shape[0]}", "expected_shape": ",".join(map(str, shape))}
    response = None
    for pause_s in (*_PAUSES_S, None):
        response = _ask(catalog, array.address, parameters)
        if response.status_code in _REFUSED:
            raise MalformedRunError(f"run {run_uid}: {array.name} cannot be read: {detail_of(response)}")
        if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            return bytes(handle_error(response).content)
        _check_run_is_known(catalog, run_uid)
        if pause_s is not None:
            time.sleep(pause_s)
    assert response is not None
    raise MalformedRunError(
        f"run {run_uid}: Tiled knows the run and cannot read its {array.name}, {array.dtype} of shape {array.shape}: "
        f"{detail_of(response)} ({response.status_code})"
    )


def _ask(catalog: Catalog, address: str, parameters: Mapping[str, str]) -> httpx.Response:
    client = catalog.root.context.http_client
    headers = {"Accept": "application/octet-stream"}
    try:
        return client.get(address, params=parameters, headers=headers)  # type: ignore[no-any-return]
    except (httpx.RemoteProtocolError, httpx.ReadError):
        # After a 500 the server closes the connection, which the pool finds out only by using it again.
        return client.get(address, params=parameters, headers=headers)  # type: ignore[no-any-return]


def _check_run_is_known(catalog: Catalog, run_uid: str) -> None:
    """Tell a file that cannot be read from a server that is away or has lost its database."""
    run = f"{catalog.root.item['links']['self'].rstrip('/')}/raw/{run_uid}"
    status = _ask(catalog, run, {}).status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS:
        raise CatalogUnreachableError(f"reading run {run_uid}: Tiled answered {status}, or its database is away")


def _is_array(child: Mapping[str, Any]) -> bool:
    return bool(child["attributes"]["structure_family"] == "array")


def _announced(child: Mapping[str, Any]) -> MeasuredArray:
    structure = child["attributes"]["structure"]
    kind = structure["data_type"]
    numbers = {"kind", "itemsize", "endianness"} <= set(kind)
    dtype = np.dtype(f"{_ORDER.get(kind['endianness'], '|')}{kind['kind']}{kind['itemsize']}" if numbers else "O")
    return MeasuredArray(child["id"], tuple(structure["shape"]), dtype, child["links"]["full"])


_ORDER = {"little": "<", "big": ">"}
