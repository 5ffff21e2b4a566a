"""Failures on request, so that tests meet them on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The next `times` calls of `path`, of one account if `open_id` is given, are answered like this.

    With `passthrough` only the delay happens, and the call is answered as ever.
    """

    path: str
    open_id: str | None = None
    times: int = 1
    status: int = 500
    error: str | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    drop: bool = False
    passthrough: bool = False


class Faults:
    """Waiting to happen."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, path: str, open_id: str | None) -> Fault | None:
        for place, (fault, left) in enumerate(self._waiting):
            if fault.path == path and fault.open_id in (None, open_id):
                if left == 1:
                    del self._waiting[place]
                else:
                    self._waiting[place] = (fault, left - 1)
                return fault
        return None


class CutOff(Response):
    """The connection breaks in the middle of the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"data":', "more_body": True})
