"""Replies that no client should trust: cut off, reset, dripping, without end."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK = 256 * 1024
NO_REPLY = 0


class CutOff(Response):
    """The connection breaks in the middle of the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(_start(200, b"1000"))
        await send({"type": "http.response.body", "body": b'{"data":', "more_body": True})


class Reset(Response):
    """The connection is reset and nothing comes. `status_code` is what the call would have had."""

    def __init__(self, status: int = NO_REPLY) -> None:
        super().__init__()
        self.status_code = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI has no word for it, so uvicorn's own connection is taken."""
        del scope, send
        transport = receive.__self__.transport  # type: ignore[attr-defined]
        now_and_hard = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, now_and_hard)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Drip(Response):
    """Another response, byte by byte over so many seconds."""

    def __init__(self, response: Response, *, seconds: float) -> None:
        super().__init__(response.body, response.status_code, response.headers)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        body = bytes(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for place in range(len(body)):
            await asyncio.sleep(self._seconds / len(body))
            await send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Endless(Response):
    """JSON of so many bytes. Whoever has enough of it hangs up."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        begin, end = b'{"data":{"user":{"display_name":"', b'"}}}'
        await send(_start(200, str(self._size).encode()))
        await send({"type": "http.response.body", "body": begin, "more_body": True})
        left = self._size - len(begin) - len(end)
        while left:
            chunk = b"a" * min(left, CHUNK)
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": end})


def _start(status: int, length: bytes) -> dict[str, Any]:
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    return {"type": "http.response.start", "status": status, "headers": headers}
