"""An event has as many bytes as an answer at most. One that has more ends its subscription, and nothing else."""

import asyncio
from typing import Any

import pytest

from tests.live.acting import WATCH_ACCOUNTS, global_id, sync
from tests.support.event_streams import list_events, open_stream
from tests.support.server import Api
from tests.support.sockets import connected, parts, streamed
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.web import responses

BOUND = 1000
LARGE = "subscription L { accountChanged { " + " ".join(f"a{n}: accountId" for n in range(30)) + " } }"
SMALL = WATCH_ACCOUNTS


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the server, which runs in this process."""
    monkeypatch.setattr(responses, "MAX_BYTES", BOUND)


def check(payload: dict[str, Any]) -> None:
    [error] = payload["errors"]
    assert "data" not in payload
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert error["extensions"]["requestId"]
    assert f"{BOUND} are allowed" in error["message"]


async def test_on_a_socket_the_others_go_on(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with connected(api) as socket:
        await socket.subscribe(SMALL, "small")
        await socket.subscribe(LARGE, "large")
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await sync(api, account_id)
        first, second, third = [await socket.receive() for _ in range(3)]
        by_id: dict[str, list[dict[str, Any]]] = {"small": [], "large": []}
        for message in (first, second, third):
            by_id[message["id"]].append(message)
        [small], [last, complete] = by_id["small"], by_id["large"]
        assert small["payload"]["data"]["accountChanged"]["accountId"] == account_id
        assert (last["type"], complete) == ("next", {"id": "large", "type": "complete"})
        check(last["payload"])
        await sync(api, account_id)
        assert (await socket.next("small"))["accountChanged"]["accountId"] == account_id
        await socket.subscribe(SMALL, "large")  # the id is free again
        await sync(api, account_id)
        assert {(await socket.receive())["id"] for _ in range(2)} == {"small", "large"}


async def test_as_server_sent_events_it_is_told_and_complete(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with open_stream(api, LARGE) as response, asyncio.timeout(15):
        await sync(api, account_id)
        [(name, payload), complete] = await list_events(response)
    assert (name, complete) == ("next", ("complete", None))
    check(payload)
    await api.data("{ viewer { id } }")


async def test_in_parts_it_is_told_and_the_end(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with streamed(api, LARGE) as response, asyncio.timeout(15):
        await sync(api, account_id)
        [part] = [one async for one in parts(response) if one]
    check(part["payload"])
