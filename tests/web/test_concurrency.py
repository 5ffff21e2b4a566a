"""Requests beyond those that run at once wait for their turn, and are told when it does not come."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.web import concurrency
from tiktok_accounts_gql.web.concurrency import ConcurrencyLimiter, release_slot
from tiktok_accounts_gql.web.middleware import RequestMiddleware

MOST = 2


class App:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.before_the_end: Callable[[Scope], None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.begun.append(path)
        self.before_the_end(scope)
        await self.ends.setdefault(path, asyncio.Event()).wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class House:
    """The application behind its admission, and clients."""

    def __init__(self) -> None:
        self.app = App()
        edge = RequestMiddleware(ConcurrencyLimiter(self.app, max_running=MOST), hosts=["house"])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://house")
        self.asked: dict[str, asyncio.Task[httpx.Response]] = {}

    async def ask(self, *paths: str, caller: str = "one", **headers: str) -> None:
        for path in paths:
            sent = {"Authorization": caller, **headers}
            self.asked[path] = asyncio.create_task(self.client.get(path, headers=sent))
            await settled()

    async def running(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.app.begun) < count:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)

    async def end(self, path: str) -> None:
        self.app.ends.setdefault(path, asyncio.Event()).set()
        await settled()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def house() -> AsyncGenerator[House]:
    house = House()
    yield house
    for task in house.asked.values():
        task.cancel()
    await asyncio.gather(*house.asked.values(), return_exceptions=True)


async def test_so_many_run_and_the_others_follow_in_order(house: House) -> None:
    await house.ask("/1", "/2", "/3", "/4")
    assert house.app.begun == ["/1", "/2"]
    await house.end("/2")
    assert house.app.begun == ["/1", "/2", "/3"]
    await house.end("/1")
    assert house.app.begun == ["/1", "/2", "/3", "/4"]
    for path in ("/3", "/4"):
        await house.end(path)
    assert {task.result().status_code for task in house.asked.values()} == {200}


async def test_callers_take_turns(house: House) -> None:
    await house.ask(*(f"/many{number}" for number in range(6)), caller="one")
    await house.ask("/few", caller="another")
    for path in ("/many0", "/many1"):
        await house.end(path)
    assert house.app.begun == ["/many0", "/many1", "/many2", "/few"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_do_not_wait(house: House, path: str) -> None:
    await house.ask("/1", "/2", "/3", path)
    assert house.app.begun == ["/1", "/2", path]


async def test_what_takes_long_lets_others_run_beside_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "SLOW_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(concurrency, "SLOW_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(concurrency, "SLOW_FACTOR", 1)
    await house.ask(*(f"/{number}" for number in range(6)))
    await house.running(2 * MOST)
    await asyncio.sleep(0.2)
    assert len(house.app.begun) == 2 * MOST  # so many may be slow, and so many run
    await house.end("/0")  # a slow one
    await house.running(2 * MOST + 1)


async def test_a_stream_that_has_begun_does_not_count(house: House) -> None:
    house.app.before_the_end = release_slot
    await house.ask("/1", "/2", "/3", "/4")
    assert house.app.begun == ["/1", "/2", "/3", "/4"]
    house.app.before_the_end = lambda _: None
    for path in ("/1", "/2", "/3", "/4"):
        await house.end(path)
    await house.ask("/5", "/6", "/7")
    assert house.app.begun[4:] == ["/5", "/6"]  # no turn was given back twice


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("text/event-stream", "text/event-stream"),
        ("image/webp", "application/json"),
    ],
)
async def test_a_turn_that_does_not_come_is_503_in_the_type_that_was_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch, accept: str, media_type: str
) -> None:
    monkeypatch.setattr(concurrency, "QUEUE_TIMEOUT_SECONDS", 0.05)
    await house.ask("/1", "/2", "/3", Accept=accept)
    answer = await asyncio.wait_for(house.asked["/3"], 5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    assert '"code":"SERVICE_UNAVAILABLE"' in answer.text
    await house.end("/1")
    await house.ask("/4")
    assert house.app.begun == ["/1", "/2", "/4"]  # who gave up takes no turn


async def test_a_line_that_is_too_long_is_refused_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "MAX_QUEUED", 1)
    await house.ask("/1", "/2", "/3", "/4")
    assert (await asyncio.wait_for(house.asked["/4"], 5)).status_code == 503
    assert not house.asked["/3"].done()


async def test_nothing_is_done_for_a_client_that_has_gone(house: House) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await house.ask("/1", "/2")
    scope: Scope = {"type": "http", "path": "/gone", "method": "GET", "headers": [(b"host", b"house")], "state": {}}
    edge = house.client._transport.app  # type: ignore[attr-defined]
    going = asyncio.create_task(edge(scope, receive, send))
    await settled()
    scope["state"][concurrency.CLIENT_DISCONNECTED] = True
    await house.ask("/3")
    await house.end("/1")
    await going
    assert house.app.begun == ["/1", "/2", "/3"]


@pytest.mark.parametrize("steps", range(4))
async def test_a_turn_that_comes_to_who_is_cancelled_goes_to_the_next(house: House, steps: int) -> None:
    """At every step between the end of the one that runs and the start of the one that waits."""
    await house.ask("/1", "/2", "/3", "/4")
    house.app.ends["/1"].set()
    for _ in range(steps):
        await asyncio.sleep(0)
    house.asked["/3"].cancel()
    await settled()
    await house.end("/2")
    for path in ("/3", "/4"):
        await house.end(path)
    await house.ask("/5", "/6", "/7")
    assert [path for path in house.app.begun if path in ("/5", "/6", "/7")] == ["/5", "/6"]
