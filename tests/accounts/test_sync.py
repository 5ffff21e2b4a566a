"""Mutation.syncAccount"""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.support.account_operations import SYNC, sync_account
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account, AuditEvent, Snapshot, TokenPair
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.wiring import Running

USER_INFO = "/v2/user/info/"
TOKEN = "/v2/oauth/token/"


async def events(running: Running, viewer: str) -> list[AuditEvent]:
    statement = select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer).order_by(col(AuditEvent.id))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def snapshots(running: Running, account: Account) -> list[Snapshot]:
    statement = select(Snapshot).where(col(Snapshot.account_id) == account.id).order_by(col(Snapshot.recorded_at))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def test_a_sync_reads_stores_and_audits(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    before = len(await snapshots(running, account))
    payload = await sync_account(api, account)
    assert (payload["success"], payload["userErrors"]) == (True, [])
    assert payload["syncedAt"] == payload["account"]["lastSyncedAt"]
    assert payload["account"]["followerCount"] == payload["query"]["accountsSummary"]["totalFollowers"]
    taken = await snapshots(running, account)
    assert len(taken) == before + 1
    assert taken[-1].follower_count == payload["account"]["followerCount"]
    synced = [event for event in await events(running, api.viewer) if event.action == "ACCOUNT_SYNCED"]
    assert [event.account_id for event in synced] == [account.id]


async def test_an_expired_access_token_is_renewed_first(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    assert (await sync_account(api, account))["success"]
    actions = [str(event.action) for event in await events(running, api.viewer)]
    assert actions.index("TOKEN_REFRESHED") < actions.index("ACCOUNT_SYNCED")
    assert tiktok.refreshes(account.open_id) == 1
    assert (await sync_account(api, account))["success"]
    assert tiktok.refreshes(account.open_id) == 1


async def test_a_withdrawn_authorization_expires_the_account(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.revoke_grant(account.open_id)
    payload = await sync_account(api, account)
    assert (payload["success"], payload["syncedAt"]) == (False, None)
    assert payload["userErrors"][0]["code"] == "REAUTHORIZATION_REQUIRED"
    assert payload["account"]["status"] == "EXPIRED"
    assert payload["account"]["lastError"] == payload["userErrors"][0]["message"]
    assert payload["query"]["accountsSummary"]["expiredAccounts"] == 1
    actions = [str(event.action) for event in await events(running, api.viewer)]
    assert {"TOKEN_REFRESH_FAILED", "ACCOUNT_SYNC_FAILED"} <= set(actions)


@pytest.mark.parametrize(
    ("fault", "code", "seconds"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}, "error": "rate_limit_exceeded"}, "TIKTOK_RATE_LIMITED", 7),
        ({"status": 429, "error": "rate_limit_exceeded"}, "TIKTOK_RATE_LIMITED", 60),
        ({"status": 500, "error": "internal_error"}, "TIKTOK_UNAVAILABLE", 60),
        ({"status": 200, "body": b"<html>maintenance</html>", "content_type": "text/html"}, "SYNC_FAILED", None),
        ({"status": 200, "body": b'{"data":{"user":{"open_id"'}, "SYNC_FAILED", None),
        ({"drop": True}, "TIKTOK_UNAVAILABLE", 60),
        ({"delay_seconds": 4.0}, "TIKTOK_UNAVAILABLE", 60),
        ({"status": 400, "error": "invalid_params"}, "SYNC_FAILED", None),
    ],
)
async def test_a_passing_failure_changes_no_status(
    api: Api, tiktok: TikTok, running: Running, fault: dict[str, Any], code: str, seconds: int | None
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO, account, **fault)
    payload = await sync_account(api, account)
    assert payload["success"] is False
    error = payload["userErrors"][0]
    assert (error["code"], error["retryAfterSeconds"]) == (code, seconds)
    assert payload["account"]["status"] == "ACTIVE"
    assert payload["account"]["lastError"] == error["message"]
    assert payload["account"]["followerCount"] == account.follower_count
    failed = [event for event in await events(running, api.viewer) if event.action == "ACCOUNT_SYNC_FAILED"]
    assert failed[0].details[0] == {"name": "reason", "value": code, "previousValue": None}
    assert len(await snapshots(running, account)) == 1
    assert (await sync_account(api, account))["account"]["lastError"] is None


async def test_a_counter_that_a_reply_lacks_is_null_and_a_zero_is_a_zero(api: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(api.viewer)
    user = {"open_id": account.open_id, "display_name": "Nobody", "follower_count": 0}
    body = {"data": {"user": user}, "error": {"code": "ok", "message": "", "log_id": "x"}}
    tiktok.fail(USER_INFO, account, status=200, body=json.dumps(body).encode())
    payload = await sync_account(api, account)
    assert payload["success"], payload
    assert payload["account"]["followerCount"] == 0
    assert payload["account"]["likesCount"] is None
    assert payload["account"]["displayName"] == "Nobody"


async def test_many_callers_share_one_reading(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO, account, delay_seconds=0.3, passthrough=True)
    before = tiktok.user_infos(account.open_id)
    payloads = await asyncio.gather(*[sync_account(api, account) for _ in range(5)])
    assert all(payload["success"] for payload in payloads)
    assert tiktok.user_infos(account.open_id) == before + 1
    assert len(await snapshots(running, account)) == 2


async def test_somebody_elses_account_is_not_found(api: Api, stranger: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(stranger.viewer)
    theirs = await sync_account(api, account)
    unknown = (await api.data(SYNC, id=ids.encode(ids.NodeKind.ACCOUNT, uuid4())))["syncAccount"]
    assert theirs == unknown
    assert theirs["userErrors"][0]["code"] == "NOT_FOUND"
    assert theirs["account"] is None


async def test_a_malformed_id_is_not_found(api: Api) -> None:
    payload = (await api.data(SYNC, id="!"))["syncAccount"]
    assert payload["userErrors"][0]["code"] == "NOT_FOUND"
    assert (payload["success"], payload["account"]) == (False, None)


async def test_a_rotated_pair_is_stored_sealed(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    await sync_account(api, account)
    async with running.db.read() as session:
        pair = (await session.scalars(select(TokenPair).where(col(TokenPair.account_id) == account.id))).one()
    assert b"act." not in pair.access_token
    assert pair.refresh_token is not None
    assert b"rft." not in pair.refresh_token
