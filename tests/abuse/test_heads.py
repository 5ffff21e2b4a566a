"""Heads of requests that are larger than any client sends. No token is needed for them."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.backends import on_sqlite
from tests.support.neighbours import STILL, neighbour
from tests.support.raw import raw, request
from tests.support.server import Api

pytestmark = [on_sqlite, pytest.mark.untraced]

MEGABYTES = int(os.environ.get("TEST_HEAD_MEGABYTES", "8"))
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("GET", "/livez", "X-Large: " + "a" * 40_000), id="one-value"),
        pytest.param(request("GET", "/livez", "X" * 40_000 + ": a"), id="one-name"),
        pytest.param(request("GET", "/livez", *["X: " + "a" * 1000] * 40), id="many-values"),
        pytest.param(request("GET", "/livez", *["a: b"] * 130), id="many-small-headers"),
        pytest.param(request("GET", "/livez?" + "a" * 40_000), id="an-address"),
        pytest.param(b"GET /livez?" + b"a" * 40_000, id="an-address-without-end"),
        pytest.param(b"A" * 40_000, id="a-method"),
        pytest.param(request("GET", "/graphql", *UPGRADE, "X-Large: " + "a" * 40_000), id="a-websocket"),
        pytest.param(request("GET", "/graphql", *UPGRADE, "X-Large: " + "a" * 9000), id="a-line-of-a-websocket"),
        pytest.param(request("GET", "/graphql", *UPGRADE, *["a: b"] * 130), id="many-headers-of-a-websocket"),
    ],
)
async def test_a_head_that_is_too_large_is_refused_in_the_edges_json(attacked: Api, data: bytes) -> None:
    async with raw(attacked) as client:
        await client.send(data)
        answer = await client.answer()
        assert answer.status in ((400,) if data.startswith(b"AAAA") else (431,))
        assert answer.code in ("LIMIT_EXCEEDED", "BAD_USER_INPUT")
        assert (answer.headers["content-type"], answer.headers["connection"]) == (
            "application/json; charset=utf-8",
            "close",
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert await client.ends() == b""


async def test_a_head_of_30_kb_is_read_in_packets_of_any_size(attacked: Api) -> None:
    data = request("GET", "/livez", "X-Large: " + "a" * 30_000)
    for size in (1, 1000, len(data)):
        async with raw(attacked) as client:
            for start in range(0, len(data) if size > 1 else 500, size):
                await client.send(data[start : start + size])
            await client.send(data[500:] if size == 1 else b"")
            assert (await client.answer()).status == 200


async def test_a_head_and_a_body_in_one_packet_count_apart(attacked: Api) -> None:
    query = '{"query": "{ viewer { userId } }", "operationName": null, "extensions": {"a": "' + "b" * 60_000 + '"}}'
    headers = (f"Authorization: Bearer {attacked.token}", "Content-Type: application/json", "X-Large: " + "a" * 20_000)
    async with raw(attacked) as client:
        for _ in range(3):  # on one connection
            await client.send(request("POST", "/graphql", *headers, body=query))
            assert (await client.answer()).body["data"] == {"viewer": {"userId": attacked.viewer}}


async def test_requests_that_come_together_are_answered_in_turn(attacked: Api) -> None:
    async with raw(attacked) as client:
        await client.send(request("GET", "/livez") * 10 + request("GET", "/nothing"))
        assert [(await client.answer()).status for _ in range(11)] == [200] * 10 + [404]


async def test_too_many_requests_together_end_the_connection(attacked: Api) -> None:
    async with raw(attacked) as client:
        await client.send(request("GET", "/livez") * 700)
        said = await client.ends()
    assert 0 < said.count(b"HTTP/1.1 200") <= 20
    assert said.count(b"HTTP/1.1") == said.count(b"HTTP/1.1 200")


def parts_of(kind: str) -> Iterator[bytes]:
    """A megabyte after the other."""
    yield {
        "value": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ",
        "address": b"GET /",
        "chunk": b"POST /webhooks/tiktok HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        "trailers": b"POST /webhooks/tiktok HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        "chunks": b"POST /webhooks/tiktok HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        "lines": b"\r\n",
    }[kind]
    filling = {"trailers": b"a: b\r\n", "chunks": b"1\r\na\r\n", "lines": b"\r\n"}.get(kind, b"a")
    for _ in range(MEGABYTES):
        yield filling * (1024 * 1024 // len(filling))


@pytest.mark.parametrize("kind", ["value", "address", "chunk", "chunks", "trailers", "lines"])
async def test_megabytes_are_cut_off_and_the_neighbour_notices_nothing(attacked: Api, kind: str) -> None:
    async def attack() -> int:
        sent = 0
        async with raw(attacked) as client:
            with suppress(ConnectionError):
                for part in parts_of(kind):
                    await client.send(part)
                    sent += len(part)
            await client.ends()
        return sent

    with neighbour(attacked) as watched:
        await asyncio.to_thread(watched.report, at_least=50)
        sent = await asyncio.gather(*(attack() for _ in range(6)))
        during = await asyncio.to_thread(watched.report, at_least=50)
    print(f"{kind}: {during}")  # noqa: T201
    assert max(sent) < MEGABYTES * 1024 * 1024  # the rest was not read
    assert during.failed == 0
    assert during.stood_still < STILL


async def test_trailers_do_not_become_headers(attacked: Api) -> None:
    body = "2c\r\n" + '{"query": "{ viewer { userId } }", "a": null}'[:44] + "\r\n0\r\n"
    trailers = f"Authorization: Bearer {attacked.token}\r\n\r\n"
    head = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    async with raw(attacked) as client:
        await client.send(request("POST", "/graphql", *head, body=body + trailers))
        answer = await client.answer()
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
