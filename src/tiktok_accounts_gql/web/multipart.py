"""Subscriptions as multipart responses, as Apollo's clients read them (`subscriptionSpec=1.0`).

A stream that ends because the token expired or the server stops has `errors` beside its last payload, by which a client tells
it from one that is complete.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.errors import RequestError, ServiceUnavailable, TooManyStreams, Unauthenticated
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.concurrency import release_slot
from tiktok_accounts_gql.web.framing import DELIMITER, PARTS_TYPE, frame_part, frame_response
from tiktok_accounts_gql.web.media_types import PARTS
from tiktok_accounts_gql.web.subscriptions import EXPIRED, STOPPING, Payload, wait_for_event

HEADERS = {"X-Accel-Buffering": "no"}  # or nginx would buffer the stream
RETRY_AFTER = {"Retry-After": "10"}
HEARTBEAT_SECONDS = 5.0
HEARTBEAT: dict[str, Any] = {}


def respond(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event, *, error_media_type: str = PARTS
) -> "SubscriptionResponse":
    """Return the streaming response. `stopping`: set when the server is about to stop."""
    body = _stream_body(payloads, caller, stopping)
    return SubscriptionResponse(body, payloads, caller, media_type=PARTS_TYPE, error_media_type=error_media_type)


class SubscriptionResponse(StreamingResponse):
    """A stream of payloads, or an error if the viewer has too many streams open."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        payloads: AsyncGenerator[Payload],
        caller: Caller,
        *,
        media_type: str,
        error_media_type: str,
    ) -> None:
        super().__init__(body, media_type=media_type, headers=HEADERS)
        self._payloads = payloads
        self._caller = caller
        self._error_media_type = error_media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._caller.services.streams.acquire(self._caller.viewer):
                release_slot(scope)
                await super().__call__(scope, receive, send)
        except TooManyStreams as error:
            media_type = self._error_media_type
            response = responses.error_response(
                error, self._caller.request_id, media_type=media_type, headers=RETRY_AFTER
            )
            await frame_response(response, media_type)(scope, receive, send)
            await self._payloads.aclose()


async def _stream_body(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    yield DELIMITER
    async with aclosing(payloads), aclosing(stream_messages(payloads, caller, stopping)) as messages:
        async for message in messages:
            payload = message.get("payload")
            yield frame_part(orjson.dumps(message) if payload is None else b'{"payload":%b}' % payload)
    yield b"--\r\n"


async def stream_messages(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event
) -> AsyncGenerator[dict[str, Any]]:
    """Yield each payload as `{"payload": …}`, HEARTBEAT while there is none, and `{"errors": …}` if the stream has to end."""
    next_payload = asyncio.create_task(_next(payloads))
    try:
        while True:
            await wait_for_event(stopping, next_payload, timeout_seconds=min(HEARTBEAT_SECONDS, caller.seconds_left))
            if not caller.seconds_left:
                yield _error_message(Unauthenticated(EXPIRED), caller)
                return
            if stopping.is_set():
                yield _error_message(ServiceUnavailable(STOPPING), caller)
                return
            if not next_payload.done():
                yield HEARTBEAT
                continue
            payload = next_payload.result()
            if payload is None:
                return
            yield {"payload": payload}
            next_payload = asyncio.create_task(_next(payloads))
    finally:
        await cancel_and_wait(next_payload)


async def _next(payloads: AsyncGenerator[Payload]) -> Payload | None:
    """Return the next payload as a coroutine, which a task needs; None at the end."""
    return await anext(payloads, None)


def _error_message(error: RequestError, caller: Caller) -> dict[str, Any]:
    return {"payload": None, "errors": [responses.error_payload(error, caller.request_id)]}
