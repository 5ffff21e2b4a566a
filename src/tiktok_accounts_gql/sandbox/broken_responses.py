"""Responses that no client should trust: truncated, reset, slow, or too large."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

CHUNK_BYTES = 256 * 1024
NO_STATUS = 0


class TruncatedResponse(Response):
    """A response whose connection closes in the middle of the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(_create_start_message(content_length=1000))
        await send({"type": "http.response.body", "body": b'{"data":', "more_body": True})


class ConnectionReset(Response):
    """No response: the connection is reset. `status` is recorded: what the call would have been answered with."""

    def __init__(self, status: int = NO_STATUS) -> None:
        super().__init__()
        self.status_code = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset uvicorn's own connection: ASGI has no message for it."""
        del scope, send
        transport = receive.__self__.transport  # type: ignore[attr-defined]
        discard_and_reset = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, discard_and_reset)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class SlowResponse(Response):
    """Another response, sent byte by byte over `seconds`."""

    def __init__(self, response: Response, *, seconds: float) -> None:
        super().__init__(response.body, response.status_code, response.headers)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        body = bytes(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for index in range(len(body)):
            await asyncio.sleep(self._seconds / len(body))
            await send({"type": "http.response.body", "body": body[index : index + 1], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class LargeResponse(Response):
    """JSON of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        prefix, suffix = b'{"data":{"user":{"display_name":"', b'"}}}'
        await send(_create_start_message(content_length=self._size))
        await send({"type": "http.response.body", "body": prefix, "more_body": True})
        remaining = self._size - len(prefix) - len(suffix)
        while remaining:
            chunk = b"a" * min(remaining, CHUNK_BYTES)
            remaining -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": suffix})


def _create_start_message(*, content_length: int) -> Message:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(content_length).encode())]
    return {"type": "http.response.start", "status": 200, "headers": headers}
