"""Answers as server-sent events: GraphQL over SSE in its "distinct connections mode", as graphql-sse and urql ask for it.

Each result is an event `next`; `complete` follows the last one. A stream that is ended from outside, because the token
expired or the server stops, says so in its last `next` and has no `complete`: clients connect again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import orjson

from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.framing import COMPLETE, EVENTS_TYPE, next_event
from tiktok_accounts_gql.web.live import Payload
from tiktok_accounts_gql.web.media_types import EVENTS
from tiktok_accounts_gql.web.multipart import HEARTBEAT, Stream, parts

_KEEP_ALIVE = b":\n\n"  # a comment


def respond(
    payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event, *, refusal: str = EVENTS
) -> Stream:
    """`stopping`: set when the server has to end what goes on. `refusal`: the media type in which a stream is refused."""
    body = _body(payloads, caller, stopping)
    return Stream(body, payloads, caller, media_type=EVENTS_TYPE, refusal=refusal)


async def _body(payloads: AsyncGenerator[Payload], caller: Caller, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    yield _KEEP_ALIVE
    async with aclosing(payloads), aclosing(parts(payloads, caller, stopping)) as pieces:
        async for piece in pieces:
            if "errors" in piece:
                yield next_event(orjson.dumps({"errors": piece["errors"]}))
                return
            yield _KEEP_ALIVE if piece is HEARTBEAT else next_event(piece["payload"])
    yield COMPLETE
