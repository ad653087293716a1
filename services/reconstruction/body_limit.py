"""No request is read beyond what any of ours can need."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.reconstruction.problems import Problem, answer


class BodyLimit:
    """ASGI middleware that answers 413 with a problem document; FastAPI's own limit answers in plain text."""

    def __init__(self, app: ASGIApp, largest_bytes: int) -> None:
        self._app = app
        self._largest_bytes = largest_bytes
        self._detail = f"A request of at most {largest_bytes} bytes is read"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by the declared length where there is one, else while reading."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared[:20]) > self._largest_bytes:
            refusal = answer(Request(scope), Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._detail))
            return await refusal(scope, receive, send)
        return await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest_bytes:
                # Of the exceptions raised while a body is read FastAPI lets only this one through.
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._detail)
            return message

        return receive_some
