"""Every error the service answers with: problem details (RFC 9457), one handler for each kind of exception."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.catalog.records import CatalogError, CatalogUnreachableError, NotFoundError
from services.reconstruction.job_database import JobTableUnreachableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An answer that is not a success.

    Args:
        status: HTTP status code.
        detail: what was needed, what came, what to do.
        kind: last word of the problem's ``type``; None where the status says it all.
        headers: further response headers.
        members: further members of the document, for programs.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.members = members


class FieldError(BaseModel):
    """One wrong value of a request."""

    field: str = Field(description="Where it stands: `body.algorithm`, `query.limit`")
    detail: str = Field(description="What came and what is allowed")


class ProblemDocument(BaseModel):
    """What every error of this service looks like (RFC 9457)."""

    type: str = Field(description="`about:blank`, or a URN that programs can tell apart")
    title: str = Field(description="The kind of problem, the same each time")
    status: int = Field(description="The HTTP status again")
    detail: str = Field(description="This occurrence: what was needed, what came, what to do")
    instance: str = Field(description="The path that was asked for")
    errors: list[FieldError] | None = Field(None, description="With 422: every wrong value")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors an operation can answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def answer(request: Request, problem: Problem) -> Response:
    """The HTTP response that tells a problem."""
    phrase = HTTPStatus(problem.status).phrase
    document = {
        "type": f"urn:subprobe:problem:{problem.kind}" if problem.kind else "about:blank",
        "title": problem.kind.replace("-", " ").capitalize() if problem.kind else phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        **problem.members,
    }
    # ASCII: a lone surrogate that a caller sent must not break the answer that tells him about it.
    body = json.dumps(document, ensure_ascii=True).encode("ascii")
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let the app answer every exception with a problem document, and its OpenAPI document describe one."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        described = generate()
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = schema.pop("$defs", {})
        described["components"]["schemas"] |= {ProblemDocument.__name__: schema, **parts}
        return described

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_wrong_field)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(CatalogError, _on_catalog)
    app.add_exception_handler(JobTableUnreachableError, _on_database)
    app.add_exception_handler(Exception, _on_defect)


def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


def _on_wrong_field(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(map(str, item["loc"])), "detail": item["msg"].removeprefix("Value error, ")}
        for item in error.errors()
    ]
    said = "; ".join(f"{item['field']}: {item['detail']}" for item in errors)
    return answer(request, Problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, "wrong-field", errors=errors))


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(request, Problem(error.status_code, _detail(request, error), headers=error.headers))


def _detail(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {request.url.path}: see /docs for what there is"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{request.method} is not possible at {request.url.path}: use {allowed}"
    return str(error.detail)


def _on_catalog(request: Request, error: Exception) -> Response:
    if isinstance(error, NotFoundError):
        return answer(request, Problem(HTTPStatus.NOT_FOUND, str(error)))
    if isinstance(error, CatalogUnreachableError):
        return answer(request, tiled_unreachable(str(error)))
    _log.error("Tiled refused %s %s: %s", request.method, request.url.path, error)
    return answer(request, Problem(HTTPStatus.BAD_GATEWAY, f"Tiled could not do what this service asked: {error}"))


def tiled_unreachable(detail: str) -> Problem:
    """Tiled does not answer: nothing is lost, the caller should try again."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, "tiled-unreachable", {"Retry-After": str(RETRY_AFTER_S)})


def _on_database(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.url.path, error)
    detail = "The job table does not answer: try again"
    return answer(request, Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)}))


def _on_defect(request: Request, error: Exception) -> Response:
    _log.error("defect at %s %s", request.method, request.url.path, exc_info=error)
    return answer(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "A defect of this service; its log says more"))
