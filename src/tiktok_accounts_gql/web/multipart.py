"""Subscriptions over HTTP, in parts, as Apollo's clients take them (multipart subscriptions, `subscriptionSpec=1.0`).

What ends a subscription from outside is an error beside the payload, so that a client tells it from a stream that came to its
end.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.errors import RequestError, ServiceUnavailable, TooManyStreams, Unauthenticated
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.admission import end_turn
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.framing import DELIMITER, PARTS_TYPE, framed, next_part
from tiktok_accounts_gql.web.live import EXPIRED, STOPPING, Payload, happens
from tiktok_accounts_gql.web.media_types import PARTS

HEADERS = {"X-Accel-Buffering": "no"}  # nginx would wait for more
TRY_AGAIN_LATER = {"Retry-After": "10"}
HEARTBEAT_SECONDS = 5.0
HEARTBEAT: dict[str, Any] = {}


def respond(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event, *, refusal: str = PARTS
) -> "Stream":
    """`stopping`: set when the server has to end what goes on. `refusal`: the media type in which a stream is refused."""
    body = _body(payloads, caller, stopping)
    return Stream(body, payloads, caller, media_type=PARTS_TYPE, refusal=refusal)


class Stream(StreamingResponse):
    """One of a viewer's, or the refusal of one too many."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        payloads: AsyncGenerator[Payload],
        caller: Caller,
        *,
        media_type: str,
        refusal: str,
    ) -> None:
        super().__init__(body, media_type=media_type, headers=HEADERS)
        self._payloads = payloads
        self._caller = caller
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._caller.services.streams.acquire(self._caller.viewer):
                end_turn(scope)
                await super().__call__(scope, receive, send)
        except TooManyStreams as error:
            await framed(self._refused(error), self._refusal)(scope, receive, send)
            await self._payloads.aclose()

    def _refused(self, error: TooManyStreams) -> Response:
        caller = self._caller
        return answers.refusal(error, caller.request_id, media_type=self._refusal, headers=TRY_AGAIN_LATER)


async def _body(payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    yield DELIMITER
    async with aclosing(payloads), aclosing(parts(payloads, caller, stopping)) as pieces:
        async for piece in pieces:
            payload = piece.get("payload")
            yield next_part(orjson.dumps(piece) if payload is None else b'{"payload":%b}' % payload)
    yield b"--\r\n"


async def parts(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event
) -> AsyncGenerator[dict[str, Any]]:
    """Payloads, `errors` where something ends them from outside, and HEARTBEAT while nothing happens."""
    coming = asyncio.create_task(_next(payloads))
    try:
        while True:
            await happens(stopping, coming, within=min(HEARTBEAT_SECONDS, caller.seconds_left))
            if not caller.seconds_left:
                yield _ended(Unauthenticated(EXPIRED), caller)
                return
            if stopping.is_set():
                yield _ended(ServiceUnavailable(STOPPING), caller)
                return
            if not coming.done():
                yield HEARTBEAT
                continue
            payload = coming.result()
            if payload is None:
                return
            yield {"payload": payload}
            coming = asyncio.create_task(_next(payloads))
    finally:
        await cancel_and_wait(coming)


async def _next(payloads: AsyncGenerator[Payload]) -> Payload | None:
    return await anext(payloads, None)


def _ended(error: RequestError, caller: Caller) -> dict[str, Any]:
    return {"payload": None, "errors": [answers.said(error, caller.request_id)]}
