"""Whatever goes wrong inside, the caller gets a problem document and no traceback."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from services.catalog.records import CatalogError, CatalogUnreachableError, NotFoundError
from services.reconstruction.job_database import JobTableUnreachableError
from services.reconstruction.problems import install

ERRORS = {
    "defect": (ZeroDivisionError("secret detail"), 500),
    "database": (JobTableUnreachableError("secret detail"), 503),
    "unreachable": (CatalogUnreachableError("Tiled does not answer"), 503),
    "refused": (CatalogError("no right to create"), 502),
    "nowhere": (NotFoundError("no volume 7"), 404),
}


async def ask(path: str) -> httpx.Response:
    """Ask an app whose every path fails in its own way."""
    app = FastAPI()
    install(app)

    @app.get("/{kind}")
    def fail(kind: str) -> None:
        raise ERRORS[kind][0]

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_failure_is_a_problem_document(kind: str) -> None:
    answer = asyncio.run(ask(f"/{kind}"))
    assert answer.status_code == ERRORS[kind][1] == answer.json()["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == f"/{kind}"
    assert "secret detail" not in answer.text
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
