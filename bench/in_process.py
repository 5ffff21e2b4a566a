"""The application without a server, so that sockets and HTTP parsing are not measured."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from bench.load import Request


class InProcessClient:
    """An HTTP client that calls the ASGI application."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def data(self, request: Request) -> Any:
        """Return the data of a response. Raise RuntimeError for a response with errors."""
        return json.loads(await self.fetch(request))["data"]

    async def fetch(self, request: Request) -> bytes:
        """Return the body of a response, which is not parsed. Raise RuntimeError for a response with errors."""
        body = await self.fetch_any(request)
        if not body.startswith(b'{"data":'):
            raise RuntimeError(f"{request.body} returned {body.decode()}")
        return body

    async def fetch_any(self, request: Request) -> bytes:
        """Return the body of a response, with or without errors."""
        sent: list[dict[str, Any]] = []
        body = request.body.encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(self._scope(request, body), receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    def _scope(self, request: Request, body: bytes) -> dict[str, Any]:
        headers = {"host": "localhost:8000", "content-type": "application/json", "content-length": str(len(body))}
        headers[request.identity[0].lower()] = request.identity[1]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "state": self._state.copy(),
        }


@asynccontextmanager
async def run_lifespan(app: ASGIApp) -> AsyncGenerator[dict[str, Any]]:
    """Run the lifespan of an application, as a server does, and yield its state."""
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    state: dict[str, Any] = {}
    task = asyncio.ensure_future(app({"type": "lifespan", "state": state}, received.get, sent.put))
    received.put_nowait({"type": "lifespan.startup"})
    if (message := await sent.get())["type"] != "lifespan.startup.complete":
        raise RuntimeError(message)
    yield state
    received.put_nowait({"type": "lifespan.shutdown"})
    await task
