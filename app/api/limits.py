"""JSON bodies are held in memory, so they are bounded; uploads are streamed and bounded where they are received.

FastAPI's own `max_body_size` does the same, but answers in plain text.
"""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST: Final = 2**20
STREAMED: Final = ("/v1/models", "/v1/datasets", "/v1/jobs/import", "/models", "/datasets")
"""The last two take what the forms of pages send."""
STREAMED_BELOW: Final = "/v1/uploads/"


class SmallBodies:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in STREAMED or path.startswith(STREAMED_BELOW):
            return await self._app(scope, receive, send)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST:
                raise HTTPException(413)
            return message

        return await self._app(scope, counted, send)
