"""Subscriptions as server-sent events: GraphQL over SSE in its "distinct connections mode", for graphql-sse and urql.

Each result is an event `next`; `complete` follows the last one. A stream that ends because the token expired or the server
stops says so in its last `next` and has no `complete`, so that clients connect again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import orjson

from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.framing import COMPLETE, EVENTS_TYPE, frame_event
from tiktok_accounts_gql.web.media_types import EVENTS
from tiktok_accounts_gql.web.multipart import HEARTBEAT, SubscriptionResponse, stream_messages
from tiktok_accounts_gql.web.subscriptions import Payload

_KEEP_ALIVE = b":\n\n"  # a comment


def respond(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event, *, error_media_type: str = EVENTS
) -> SubscriptionResponse:
    """Return the streaming response. `stopping`: set when the server is about to stop."""
    body = _stream_body(payloads, caller, stopping)
    return SubscriptionResponse(body, payloads, caller, media_type=EVENTS_TYPE, error_media_type=error_media_type)


async def _stream_body(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    yield _KEEP_ALIVE
    async with aclosing(payloads), aclosing(stream_messages(payloads, caller, stopping)) as messages:
        async for message in messages:
            if "errors" in message:
                yield frame_event(orjson.dumps({"errors": message["errors"]}))
                return
            yield _KEEP_ALIVE if message is HEARTBEAT else frame_event(message["payload"])
    yield COMPLETE
