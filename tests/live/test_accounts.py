"""Subscription.accountChanged"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from tests.connecting.flows import authorize, connect
from tests.live.acting import SYNC, WATCH_ACCOUNTS, disconnect, global_id, start_job, sync
from tests.support.server import Api
from tests.support.sockets import Socket, connected
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

SETTLED = 0.3  # so long it takes at most until an event of another process is heard, and a subscription runs


@asynccontextmanager
async def watching(api: Api, query: str = WATCH_ACCOUNTS) -> AsyncGenerator[Socket]:
    """What happened before is not told: accounts are connected by services beside the server's."""
    await asyncio.sleep(SETTLED)
    async with connected(api) as socket:
        await socket.subscribe(query)
        await asyncio.sleep(SETTLED)
        yield socket


async def change(socket: Socket) -> dict[str, Any]:
    change_event: dict[str, Any] = (await socket.next())["accountChanged"]
    return change_event


async def test_connecting_syncing_and_disconnecting_are_told(api: Api) -> None:
    user = f"user-{uuid4().hex}"
    async with watching(api) as socket:
        payload = await connect(api, await authorize(api, user))
        account_id = payload["account"]["id"]
        event = await change(socket)
        assert (event["kind"], event["accountId"], event["account"]["id"]) == ("CONNECTED", account_id, account_id)
        await sync(api, account_id)
        assert (await change(socket))["kind"] == "UPDATED"
        assert (await connect(api, await authorize(api, user)))["reconnected"]
        assert (await change(socket))["kind"] == "UPDATED"
        await disconnect(api, account_id)
        assert await change(socket) == {"kind": "DISCONNECTED", "accountId": account_id, "account": None}
        assert (await connect(api, await authorize(api, user)))["account"]["id"] == account_id
        assert (await change(socket))["kind"] == "CONNECTED"


async def test_changes_within_a_second_come_as_one(api: Api, tiktok: TikTok) -> None:
    """One message a second for each account at most: two in all, unless this machine takes seconds for four syncs."""
    first, second = [global_id((await tiktok.connect(api.viewer)).id) for _ in range(2)]
    async with watching(api) as socket:
        started_at = time.monotonic()
        for account_id in (first, second, first, first):
            await sync(api, account_id)
        seconds = int(time.monotonic() - started_at)
        assert [(await change(socket))["accountId"] for _ in range(2)] == [first, second]
        more = 0
        while not await socket.silent(1.5):
            more += 1
        assert more <= seconds


async def test_each_change_shows_the_account_as_it_is_then(api: Api, tiktok: TikTok) -> None:
    """What one event has loaded is not what the next one shows."""
    account = await tiktok.connect(api.viewer)
    query = "subscription { accountChanged { account { followerCount statsHistory { followerCount } } } }"
    counts = []
    async with watching(api, query) as socket:
        for followers in (1001, 1002):
            user = {"open_id": account.open_id, "display_name": "A", "follower_count": followers}
            body = json.dumps({"data": {"user": user}, "error": {"code": "ok"}}).encode()
            tiktok.fail(USER_INFO_PATH, account, status=200, body=body)
            await sync(api, global_id(account.id))
            received = (await change(socket))["account"]
            counts.append((received["followerCount"], received["statsHistory"][-1]["followerCount"]))
    assert counts == [(1001, 1001), (1002, 1002)]


async def test_failures_and_their_end_are_told(api: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, status=503)
    query = "subscription { accountChanged { kind account { health { state reason } } } }"
    async with watching(api, query) as socket:
        for expected in ("DEGRADED", "HEALTHY"):
            await api.data(SYNC, id=global_id(account.id))
            event = await change(socket)
            assert (event["kind"], event["account"]["health"]["state"]) == ("UPDATED", expected)


async def test_a_jobs_accounts_are_told_too(api: Api, tiktok: TikTok) -> None:
    account_ids = [global_id((await tiktok.connect(api.viewer)).id) for _ in range(5)]
    async with watching(api) as socket:
        await start_job(api, ids=account_ids)
        remaining = set(account_ids)
        while remaining:
            event = await change(socket)
            remaining -= {event["accountId"]} if event["kind"] == "UPDATED" else set()


async def test_a_strangers_accounts_are_never_told(api: Api, stranger: Api, tiktok: TikTok) -> None:
    mine, theirs = [global_id((await tiktok.connect(client.viewer)).id) for client in (api, stranger)]
    async with watching(api) as socket, watching(stranger) as other:
        await asyncio.gather(sync(api, mine), sync(stranger, theirs))
        assert (await change(socket))["accountId"] == mine
        assert (await change(other))["accountId"] == theirs
        assert await socket.silent(1.2)


async def test_what_is_told_is_audited_as_read(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with watching(api) as socket:
        await sync(api, account_id)
        await change(socket)
        query = "{ auditEvents(filter: {action: [ACCOUNT_READ]}) { edges { node { accountId } } } }"
        assert (await api.data(query))["auditEvents"]["edges"] == [{"node": {"accountId": account_id}}]


async def test_what_is_completed_says_no_more(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with watching(api) as socket:
        await socket.send(id="1", type="complete")
        await sync(api, account_id)
        assert await socket.silent(1.5)
        await socket.subscribe(WATCH_ACCOUNTS)  # the id is free again
        await asyncio.sleep(SETTLED)
        await sync(api, account_id)
        assert (await change(socket))["accountId"] == account_id
