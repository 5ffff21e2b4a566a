"""Access tokens are renewed in time, once, and no new pair is lost."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.connecting import stored
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.app import TWO_HOURS
from tiktok_accounts_gql.services.sync.endings import Synced
from tiktok_accounts_gql.services.tokens import RENEW_BEFORE
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

SYNC = """
mutation Sync($id: ID!) {
  syncAccount(input: { id: $id }) {
    success
    account { status lastError }
    userErrors { code message }
  }
}
"""
LIFETIME = timedelta(seconds=TWO_HOURS)


async def sync(running: Running, account: Account) -> Synced:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def sync_by_api(api: Api, account: Account) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(SYNC, id=ids.encode(ids.NodeKind.ACCOUNT, account.id)))["syncAccount"]
    return payload


def later(by: timedelta) -> Callable[[], datetime]:
    return lambda: utc_now() + by


def newest(tiktok: TikTok, account: Account) -> stored.Pair:
    grant = tiktok.sandbox.state.find(account.open_id)
    assert grant is not None
    return stored.Pair(access_token=grant.access_token, refresh_token=grant.refresh_token)


@pytest.mark.parametrize(("left", "refreshes"), [(timedelta(minutes=1), 0), (timedelta(minutes=-1), 1)])
async def test_a_token_is_renewed_when_little_time_is_left(
    tiktok: TikTok, settings: Settings, viewer: str, left: timedelta, refreshes: int
) -> None:
    account = await tiktok.connect(viewer)
    async with open_services(settings, clock=later(LIFETIME - RENEW_BEFORE - left)) as running:
        assert (await sync(running, account)).error is None
        assert await stored.pair(running, settings, account) == newest(tiktok, account)
    assert tiktok.refreshes(account.open_id) == refreshes


async def test_a_renewal_moves_the_expiries_and_is_audited(tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    async with open_services(settings, clock=later(LIFETIME)) as running:
        await sync(running, account)
        [renewed] = await stored.accounts(running, viewer)
        assert await stored.actions(running, viewer) == ["ACCOUNT_CONNECTED", "TOKEN_REFRESHED", "ACCOUNT_SYNCED"]
    assert (account.token_expires_at, account.reauthorize_by) < (renewed.token_expires_at, renewed.reauthorize_by)
    assert renewed.connected_at == account.connected_at


async def test_many_callers_at_once_renew_once(tiktok: TikTok, running: Running, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=0.2, passthrough=True)
    outcomes = await asyncio.gather(*[sync(running, account) for _ in range(20)])
    assert [outcome.error for outcome in outcomes] == [None] * 20
    assert tiktok.refreshes(account.open_id) == 1


async def test_a_refresh_token_that_a_reply_lacks_stays(tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    before = newest(tiktok, account)
    reply = {"open_id": account.open_id, "access_token": before.access_token, "expires_in": TWO_HOURS}
    tiktok.fail(TOKEN_PATH, account, status=200, body=json.dumps(reply).encode())
    async with open_services(settings, clock=later(LIFETIME)) as running:
        synced = await sync(running, account)
        assert synced.error is None
        assert await stored.pair(running, settings, account) == before
    assert tiktok.refreshes(account.open_id) == 1
    assert synced.account.reauthorize_by == account.reauthorize_by
    assert synced.account.granted_scopes == account.granted_scopes


async def test_of_two_processes_that_need_a_renewal_one_renews_and_the_other_reads_its_pair(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=0.5, passthrough=True)
    async with open_services(settings) as other:
        outcomes = await asyncio.gather(sync(running, account), sync(other, account))
    assert [outcome.error for outcome in outcomes] == [None, None]
    refreshes = tiktok.sandbox.state.calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    assert [call.error for call in refreshes] == [None]
    assert await stored.pair(running, settings, account) == newest(tiktok, account)
    [kept] = await stored.accounts(running, viewer)
    assert kept.status == "ACTIVE"
    actions = await stored.actions(running, viewer)
    assert (actions.count("TOKEN_REFRESHED"), actions.count("TOKEN_REFRESH_FAILED")) == (1, 0)


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
async def test_the_operators_mistake_expires_no_account(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, error: str
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, status=401, error=error)
    payload = await sync_by_api(api, account)
    assert (payload["success"], payload["userErrors"][0]["code"]) == (False, "APP_MISCONFIGURED")
    assert payload["account"]["status"] == "ACTIVE"
    assert await stored.pair(running, settings, account) == newest(tiktok, account)
    assert (await sync_by_api(api, account))["success"]


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ({"status": 500, "error": "server_error"}, "TIKTOK_UNAVAILABLE", "Unavailable"),
        ({"status": 503}, "TIKTOK_UNAVAILABLE", "Unavailable"),
        ({"drop": True}, "TIKTOK_UNAVAILABLE", "Unavailable"),
        ({"status": 200, "body": b"<html>"}, "SYNC_FAILED", "UnreadableReply"),
    ],
    ids=str,
)
async def test_a_passing_failure_of_a_renewal_changes_no_status(
    api: Api, tiktok: TikTok, running: Running, fault: dict[str, Any], code: str, reason: str
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, **fault)
    payload = await sync_by_api(api, account)
    assert (payload["account"]["status"], payload["userErrors"][0]["code"]) == ("ACTIVE", code)
    failed = [one for one in await stored.events(running, api.viewer) if one.action == "TOKEN_REFRESH_FAILED"]
    assert [(one.account_id, one.details[0]["value"]) for one in failed] == [(account.id, reason)]
    assert (await sync_by_api(api, account))["success"]


async def test_a_refused_access_token_is_renewed_and_tried_once_more(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    before = tiktok.user_infos(account.open_id)
    tiktok.fail(USER_INFO_PATH, account, status=401, error="access_token_invalid")
    assert (await sync(running, account)).error is None
    assert (tiktok.refreshes(account.open_id), tiktok.user_infos(account.open_id) - before) == (1, 2)


async def test_a_new_access_token_that_is_refused_too_passes_and_is_not_tried_again(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    before = tiktok.user_infos(account.open_id)
    tiktok.fail(USER_INFO_PATH, account, status=401, error="access_token_invalid", times=2)
    payload = await sync_by_api(api, account)
    assert payload["userErrors"][0]["code"] == "SYNC_FAILED"
    assert payload["account"]["status"] == "ACTIVE"
    assert (tiktok.refreshes(account.open_id), tiktok.user_infos(account.open_id) - before) == (1, 2)


async def test_an_invalid_grant_expires_the_account_and_is_audited(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, status=400, error="invalid_grant")
    synced = await sync(running, account)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("REAUTHORIZATION_REQUIRED", "EXPIRED")
    assert "TOKEN_REFRESH_FAILED" in await stored.actions(running, viewer)


@asynccontextmanager
async def cancelled_in_the_middle(tiktok: TikTok, settings: Settings, account: Account) -> Any:
    """Services of which a caller left while TikTok was rotating."""
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=0.6, passthrough=True)
    async with open_services(settings) as running:
        caller = asyncio.create_task(sync(running, account))
        await asyncio.sleep(0.2)
        assert tiktok.refreshes(account.open_id) == 0
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        yield running


async def test_a_caller_who_leaves_does_not_lose_the_new_pair(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    before = newest(tiktok, account)
    async with cancelled_in_the_middle(tiktok, settings, account):
        pass  # services that close wait for what is under way
    assert tiktok.refreshes(account.open_id) == 1
    assert await stored.pair(running, settings, account) == newest(tiktok, account) != before


async def test_whoever_comes_after_one_who_left_shares_the_renewal(
    tiktok: TikTok, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    async with cancelled_in_the_middle(tiktok, settings, account) as running:
        assert (await sync(running, account)).error is None
    assert tiktok.refreshes(account.open_id) == 1
