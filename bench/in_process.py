"""The application without a server: what sockets and their protocols cost is left out."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from bench.load import Ask


class InProcess:
    """A client of the application itself."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def data(self, one: Ask) -> Any:
        """What is answered. Raises RuntimeError for an answer with errors."""
        return json.loads(await self.answer(one))["data"]

    async def answer(self, one: Ask) -> bytes:
        """As it is sent: reading it is the client's work. Raises RuntimeError for an answer with errors."""
        answer = await self.answered(one)
        if not answer.startswith(b'{"data":'):
            raise RuntimeError(f"{one.body} was answered by {answer.decode()}")
        return answer

    async def answered(self, one: Ask) -> bytes:
        """As `answer`, with errors."""
        sent: list[dict[str, Any]] = []
        body = one.body.encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(self._scope(one, body), receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    def _scope(self, one: Ask, body: bytes) -> dict[str, Any]:
        headers = {"host": "localhost:8000", "content-type": "application/json", "content-length": str(len(body))}
        headers[one.identity[0].lower()] = one.identity[1]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": one.method,
            "scheme": "http",
            "path": one.path,
            "raw_path": one.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "state": self._state.copy(),
        }


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncGenerator[dict[str, Any]]:
    """The state of an application between its start and its end, which a server would tell it of."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    done: asyncio.Queue[Any] = asyncio.Queue()
    state: dict[str, Any] = {}
    living = asyncio.ensure_future(app({"type": "lifespan", "state": state}, told.get, done.put))
    told.put_nowait({"type": "lifespan.startup"})
    if (began := await done.get())["type"] != "lifespan.startup.complete":
        raise RuntimeError(began)
    yield state
    told.put_nowait({"type": "lifespan.shutdown"})
    await living
