"""The subprotocol graphql-transport-ws, and who may speak it."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.acting import WATCH_ACCOUNTS, WATCH_JOB, disconnect, global_id, start_job
from tests.support.backends import on_sqlite
from tests.support.server import Api
from tests.support.sockets import ENDING, PROTOCOL, connected, opened, token
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.web.sockets import MAX_OPERATIONS

pytestmark = on_sqlite


async def refused(api: Api, **how: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as refusal:
        async with opened(api, **how):
            raise AssertionError
    response = refusal.value.response
    assert response.headers["X-Request-ID"]
    assert response.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = json.loads(response.body or b"")
    return response.status_code, body


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"]
)
async def test_a_page_of_a_foreign_origin_is_refused_before_the_upgrade(api: Api, origin: str) -> None:
    status, body = await refused(api, origin=origin)
    assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://app.example.com", None])
async def test_our_own_pages_listed_ones_and_programs_may_connect(api: Api, origin: str | None) -> None:
    async with opened(api, origin=origin) as socket:
        assert socket.connection.subprotocol == PROTOCOL
        assert socket.connection.response is not None
        assert socket.connection.response.headers["X-Request-ID"]
        await socket.init(token(api))


async def test_a_foreign_host_is_refused_as_by_http(api: Api) -> None:
    handshake = {
        "Host": "evil.example",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": PROTOCOL,
    }
    answer = await api.http.get("/graphql", headers=handshake)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("protocol", [None, "graphql-ws"])
async def test_another_subprotocol_is_not_spoken(api: Api, protocol: str | None) -> None:
    async with opened(api, protocol=protocol) as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


async def test_the_socket_closes_when_the_token_expires(api: Api) -> None:
    async with connected(api, lifetime=ENDING) as socket:
        await socket.subscribe(WATCH_ACCOUNTS)
        began = asyncio.get_running_loop().time()
        assert await socket.closed() == (4403, "The bearer token has expired.")
        assert 0.5 < asyncio.get_running_loop().time() - began < 4


async def test_who_says_nothing_is_closed(api: Api) -> None:
    async with opened(api) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")


async def test_nothing_is_answered_before_the_acknowledgement(api: Api) -> None:
    async with opened(api) as socket:
        await socket.subscribe(WATCH_ACCOUNTS)
        assert await socket.closed() == (4401, "Unauthorized")


async def test_a_second_initialisation_is_too_many(api: Api) -> None:
    async with connected(api) as socket:
        await socket.send(type="connection_init", payload={"Authorization": f"Bearer {token(api)}"})
        assert await socket.closed() == (4429, "Too many initialisation requests")


async def test_an_id_in_use_cannot_be_used_again(api: Api) -> None:
    async with connected(api) as socket:
        for _ in range(2):
            await socket.subscribe(WATCH_ACCOUNTS)
        assert await socket.closed() == (4409, "Subscriber for 1 already exists")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        b"{}",
        "{}",
        '{"type": 1}',
        '{"type": "start"}',
        '{"type": "connection_ack"}',
        '{"type": "next", "id": "1"}',
        '{"type": "ping", "payload": 1}',
        '{"type": "complete"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 1}}',
        '{"type": "subscribe", "id": "' + "1" * 256 + '", "payload": {"query": "{ a }"}}',
    ],
)
async def test_what_is_no_message_closes_the_socket(api: Api, frame: str | bytes) -> None:
    async with connected(api) as socket:
        await socket.connection.send(frame)
        code, reason = await socket.closed()
        assert (code, bool(reason)) == (4400, True)


async def test_a_message_over_64_kib_closes_the_socket(api: Api) -> None:
    async with connected(api) as socket:
        await socket.send(type="ping", payload={"x": "x" * 64_000})
        assert (await socket.receive())["type"] == "pong"
        await socket.send(type="ping", payload={"x": "x" * 65_537})
        assert (await socket.closed())[0] == 1009


async def test_pings_are_answered_before_and_after_the_acknowledgement(api: Api) -> None:
    async with opened(api) as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await socket.init(token(api))
        await socket.send(type="ping", payload={"a": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"a": 1}}
        await socket.send(type="pong")
        await socket.send(id="unknown", type="complete")
        assert await socket.silent(0.2)


async def test_a_socket_has_so_many_subscriptions_at_most(api: Api) -> None:
    async with connected(api) as socket:
        for number in range(MAX_OPERATIONS):
            await socket.subscribe(WATCH_ACCOUNTS, str(number))
        await socket.subscribe(WATCH_ACCOUNTS, "more")
        assert (await socket.error("more"))["extensions"]["code"] == "LIMIT_EXCEEDED"
        await socket.send(id="7", type="complete")
        await socket.subscribe(WATCH_ACCOUNTS, "instead")
        assert await socket.silent(0.3)


async def test_several_subscriptions_share_a_socket(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    job_id = await start_job(api, filter={"search": "nobody"})
    async with connected(api) as socket:
        await socket.subscribe(WATCH_ACCOUNTS, "accounts")
        await socket.subscribe(WATCH_JOB, "job", id=job_id)
        assert (await socket.next("job"))["syncJobUpdated"]["id"] == job_id
        assert await socket.receive() == {"id": "job", "type": "complete"}
        await disconnect(api, account_id)
        assert (await socket.next("accounts"))["accountChanged"]["kind"] == "DISCONNECTED"


DEEP = "subscription { accountChanged { account { " + "health { " * 20 + "state" + " }" * 23


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { accountChanged { kind } syncJobUpdated(id: 1) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        (DEEP, "LIMIT_EXCEEDED"),
        ("subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }", "BAD_USER_INPUT"),
        ("subscription A { accountChanged { kind } } subscription B { accountChanged { kind } }", "BAD_USER_INPUT"),
        ("{ viewer { userId } }", "BAD_USER_INPUT"),
        ('mutation { syncAccount(input: {id: "x"}) { success } }', "BAD_USER_INPUT"),
    ],
)
async def test_a_document_is_refused_for_its_operation_alone(api: Api, query: str, code: str) -> None:
    async with connected(api) as socket:
        await socket.subscribe(query)
        error = await socket.error()
        assert error["extensions"]["code"] == code
        assert error["extensions"]["requestId"]
        await socket.subscribe(query)  # the id is free again
        await socket.error()


async def test_a_mistake_in_a_field_comes_with_the_event(api: Api) -> None:
    query = "subscription S($id: ID!) { syncJobUpdated(id: $id) { id results(first: -1) { totalCount } } }"
    job_id = await start_job(api, filter={"search": str(uuid4())})
    async with connected(api) as socket:
        await socket.subscribe(query, id=job_id)
        message = await socket.receive()
        [error] = message["payload"]["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert await socket.receive() == {"id": "1", "type": "complete"}
