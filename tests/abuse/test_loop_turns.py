"""How long one turn of the server's loop takes when very many clients do something in the same moment.

By the processor's time of its thread: a clock would show what else the machine does.
"""

import asyncio
import os
import resource
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from socket import create_connection, socket
from urllib.parse import urlsplit

import pytest
import uvloop

from tests.support.backends import on_sqlite
from tests.support.raw import request
from tests.support.server import Api, started
from tests.support.standstill import collecting_as_a_server
from tiktok_accounts_gql.settings import Settings

pytestmark = [on_sqlite, pytest.mark.untraced]

CONNECTIONS = int(os.environ.get("TEST_CONNECTIONS", "800"))
LONGEST = float(os.environ.get("TEST_TURN_MS", "100"))  # a processor that others use as well is slower for it
LIST = '{"query": "{ accounts(first: 20) { edges { node { id displayName followerCount } } } }"}'


@dataclass(slots=True)
class Turns:
    """The longest turns of the loop, in ms of its thread's processor time."""

    longest: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def noted(self, what: str) -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        before, longest, over = time.thread_time(), 0.0, False

        def look() -> None:
            nonlocal before, longest
            now = time.thread_time()
            longest, before = max(longest, now - before), now
            if not over:
                loop.call_soon(look)

        look()
        yield
        over = True
        self.longest[what] = round(1000 * longest, 1)


async def crowd(port: int, sent: bytes, turns: Turns) -> None:
    """All connect, all ask and are answered, and all leave."""
    clients: list[socket] = []

    def connect() -> None:
        clients.extend(create_connection(("127.0.0.1", port), timeout=30) for _ in range(CONNECTIONS))

    def ask() -> None:
        for one in clients:
            one.sendall(sent)
        assert {one.recv(12) for one in clients} == {b"HTTP/1.1 200"}

    def leave() -> None:
        for one in clients:
            one.close()

    with ExitStack() as stack:
        stack.callback(leave)
        for step in (connect, ask, leave):
            async with turns.noted(step.__name__):
                await asyncio.to_thread(step)
                await asyncio.sleep(0.1)  # until the server has noticed


@pytest.mark.parametrize("kind", ["probes", "lists"])
def test_no_turn_of_the_loop_takes_long_whatever_a_crowd_does_in_one_moment(
    settings: Settings, kind: str, record_property: Callable[[str, object], None]
) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * CONNECTIONS + 1024), most))
    turns = Turns()

    async def serve() -> None:
        async with started(settings, loop="none") as (_, url):
            api = Api(http=None, settings=settings, viewer="crowd")  # type: ignore[arg-type] # for its token
            head = ("Content-Type: application/json", f"Authorization: Bearer {api.token}")
            sent = request("GET", "/livez") if kind == "probes" else request("POST", "/graphql", *head, body=LIST)
            with collecting_as_a_server():
                await crowd(urlsplit(url).port or 0, sent, turns)

    uvloop.run(serve())
    record_property("longest turns, ms", turns.longest)
    assert max(turns.longest.values()) < LONGEST, turns.longest
