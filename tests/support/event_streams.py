"""A client of subscriptions by server-sent events."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from tests.support.server import Api
from tests.support.sockets import token

EVENTS = "text/event-stream"


@asynccontextmanager
async def open_stream(
    api: Api,
    query: str,
    variables: dict[str, Any] | None = None,
    *,
    method: str = "POST",
    lifetime: timedelta = timedelta(hours=1),
    **headers: str,
) -> AsyncGenerator[httpx.Response]:
    sent = {"Authorization": f"Bearer {token(api, lifetime)}", "Accept": EVENTS, **headers}
    how: dict[str, Any] = {"json": {"query": query, "variables": variables}}
    if method == "GET":
        how = {"params": {"query": query, "variables": json.dumps(variables)}}
    async with api.http.stream(method, "/graphql", headers=sent, **how) as response:
        yield response


async def read_events(response: httpx.Response) -> AsyncGenerator[tuple[str, Any]]:
    """As the specification of the protocol has them: each as soon as the empty line after it is there."""
    text = ""
    async for piece in response.aiter_text():
        text += piece
        while "\n\n" in text:
            event, _, text = text.partition("\n\n")
            if event == ":":
                yield "comment", None
                continue
            (first, name), (second, data) = (line.split(":", 1) for line in event.split("\n"))
            assert (first, second) == ("event", "data")
            yield name.strip(), json.loads(data) if data else None
    assert text == ""


async def list_events(response: httpx.Response) -> list[tuple[str, Any]]:
    return [event async for event in read_events(response) if event[0] != "comment"]
